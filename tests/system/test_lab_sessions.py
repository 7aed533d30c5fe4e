"""A user stays logged in when the server that answered is killed: the guestbooks in Django and Rails behind a load
balancer, with one secret on all servers. The first is examples/1-distributed as it stands."""

import json
import re
import urllib.parse

from applications import EXAMPLES, copy_tree
import pytest
from harness import ROOT, wait_until

pytestmark = pytest.mark.machine

JAR = "/root/cookies"
TO_THE_SITE = ["--connect-to", "::10.0.0.11:80"]  # curl(1) takes whatever ends in .localhost for its own machine
ADMIN = "http://guestbook.localhost/admin/"
PASSWORD = "correct horse battery staple"

# In the release that serves, with the environment of an instance.
CREATE_USER = """pid=$(pgrep -f guestbook.wsgi | head -n 1) && cd /proc/$pid/cwd && \
xargs -0 -a /proc/$pid/environ sh -c \
'exec env "$@" DJANGO_SUPERUSER_PASSWORD="%s" /usr/bin/python3 manage.py createsuperuser --noinput --username ada \
--email ada@example.com' sh""" % PASSWORD

RAILS_SITE = """[site]
name = "guestbook"
domain = "guestbook.localhost"

[app]
# Each server has a book of its own: what its visitors have in common is in their cookies.
run = "bin/rails db:migrate && exec bundle exec puma -b tcp://127.0.0.1:$PORT"
build = "bundle lock --local"
health = "/up"
env = { RAILS_ENV = "production", SECRET_KEY_BASE = "${secret:SECRET_KEY_BASE}", DATABASE_URL = "sqlite3:/tmp/book.db" }
writable = ["tmp"]
instances = 1
start_timeout = "2m"

[web]
files = "public"

[db]
engine = "none"

[lb]
check_interval = "500ms"

[servers]
lb1  = { address = "10.0.0.11", roles = ["lb"] }
web1 = { address = "10.0.0.21" }
web2 = { address = "10.0.0.22" }
"""


def browse(lab, url: str, **form) -> str:
    """The page, with the cookies of before, as somebody who fills in a form; redirects are followed."""
    fields = [word for name, value in form.items() for word in ("--data-urlencode", "%s=%s" % (name, value))]
    done = lab.get(url, *TO_THE_SITE, "-L", "-b", JAR, "-c", JAR, "-e", url, "--fail-with-body", *fields)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hidden(page: str, name: str) -> str:
    return re.search(r'name="%s" value="([^"]+)"' % name, page)[1]


def who_answered(lab, method: str, path: str) -> str:
    """The server of the last such request, by the load balancer's access log."""

    def look() -> str:
        lines = [json.loads(line) for line in lab.shell("lb1", "cat /var/log/terrace/access.log").splitlines()]
        return next((one["instance"] for one in reversed(lines)
                     if one["method"] == method and one["target"].startswith(path)), "")

    return wait_until(look, "a %s of %s in the access log" % (method, path), 20.0, 0.2)


def backend(lab, name: str) -> str:
    return next(one["state"] for one in lab.server_status("lb1")["backends"] if one["name"] == name)


def all_are_up(lab):
    wait_until(lambda: {one["state"] for one in (lab.server_status("lb1") or {}).get("backends", [])} == {"up"},
               "all are up", 60.0)


def test_somebody_logged_in_to_django_does_not_notice_that_the_server_is_killed(make_lab):
    """It is examples/1-distributed; other visitors come all the time."""
    lab = make_lab(project=ROOT / "examples/1-distributed")
    all_are_up(lab)
    lab.shell("web1", CREATE_USER)
    with lab.visitors("/up", rate=10, host="guestbook.localhost") as visitors:
        token = hidden(browse(lab, ADMIN), "csrfmiddlewaretoken")
        login = browse(lab, ADMIN + "login/?next=/admin/", csrfmiddlewaretoken=token, username="ada", password=PASSWORD)
        assert "Log out" in login
        killed = who_answered(lab, "POST", "/admin/login/")
        lab.kill(killed)
        for _ in range(6):
            assert "Log out" in browse(lab, ADMIN)
        visitors.until(20)
        lab.power_on(killed)
        wait_until(lambda: backend(lab, killed) in ("slow start", "up"), "it is back", 60.0)
        for _ in range(6):
            assert "Log out" in browse(lab, ADMIN)
    print(visitors.result)
    assert visitors.result.failed == 0, visitors.result


def test_somebody_known_to_rails_does_not_notice_that_the_server_is_killed(make_lab):
    lab = make_lab(up=False, site=RAILS_SITE, files={"x": ""},
                   beside='[lab]\nsecrets = { SECRET_KEY_BASE = "%s" }\n' % ("0123456789abcdef" * 8))
    copy_tree(EXAMPLES / "guestbook-rails", lab.project)
    lab.up()
    all_are_up(lab)
    url = "http://guestbook.localhost/"
    token = hidden(browse(lab, url), "authenticity_token")
    browse(lab, url + "entries", authenticity_token=token, name="Ada Lovelace", message="Good morning")
    killed = who_answered(lab, "POST", "/entries")
    lab.kill(killed)
    page = browse(lab, url)
    assert 'value="Ada Lovelace"' in page
    # The token of a form, which is bound to the cookie, is that of the same session.
    token = hidden(page, "authenticity_token")
    browse(lab, url + "entries", authenticity_token=token, name="Ada", message="Still here")
    assert "Still here" in urllib.parse.unquote(browse(lab, url))
