"""examples/0-simple as a person uses it: with curl, and in a browser."""

import json
import os
import shutil
import subprocess

import pytest
from browser import Browser
from harness import ROOT, STOP_SECONDS, Site

pytestmark = pytest.mark.machine

SCREENSHOTS = ROOT / "build/test/screenshots"
GUESTBOOK = ROOT / "build/release/guestbook"


@pytest.fixture
def guestbook(make_site):
    """The example's own site.toml on a free port, in a copy of its folder."""
    assert GUESTBOOK.exists(), "build first: ./test build"
    site = make_site(start=False, text=example_text(), ready="/up")
    shutil.copytree(ROOT / "examples/0-simple/public", site.folder / "public")
    shutil.copy(GUESTBOOK, site.folder / "guestbook")
    return site.start()


def example_text() -> str:
    """The example with this test's ports and a copy of the program where every user may run it."""
    text = (ROOT / "examples/0-simple/site.toml").read_text()
    changes = [
        ('run    = "../../build/release/guestbook"', 'run = "./guestbook"'),
        ("[web]\n", '[web]\nlisten = ["127.0.0.1:{port}"]\n'),
        ("[site]\n", '[site]\nadmin = "127.0.0.1:{admin_port}"\n'),
    ]
    for old, new in changes:
        assert text.count(old) == 1, "examples/0-simple/site.toml has changed: %r" % old
        text = text.replace(old, new)
    return text


def curl(*arguments: str) -> str:
    done = subprocess.run(["curl", "-sS", "--max-time", "10", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_entry_is_written_and_listed_with_curl(guestbook):
    form = ["--data-urlencode", "name=Ada", "--data-urlencode", "message=Hello & <welcome>"]
    location = curl("-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", *form, guestbook.url + "/entries")
    assert location == "303 %s/#entry-1" % guestbook.url
    page = curl(guestbook.url + "/")
    assert "Hello &amp; &lt;welcome&gt;" in page and "<strong>Ada</strong>" in page


def test_the_api_takes_and_gives_json(guestbook):
    sent = json.dumps({"name": "Grace", "message": "over the API"})
    api = guestbook.url + "/api/entries"
    made = json.loads(curl("-H", "Content-Type: application/json", "-d", sent, api))
    listed = json.loads(curl(api))
    assert listed["entries"] == [made] and listed["total"] == 1
    assert curl("-o", "/dev/null", "-w", "%{http_code}", "-d", sent, api) == "415"


def test_a_form_of_another_site_is_refused(guestbook):
    status = curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Origin: http://elsewhere.example",
                  "-d", "name=a&message=b", guestbook.url + "/entries")
    assert status == "403"
    assert json.loads(curl(guestbook.url + "/api/entries"))["total"] == 0


def test_files_come_from_the_web_server_and_are_not_fetched_twice(guestbook):
    first = guestbook.get("/style.css")
    assert first.status == 200 and first["content-type"].startswith("text/css")
    assert first["cache-control"] == "max-age=3600"
    assert guestbook.get("/style.css", {"If-None-Match": first["etag"]}).status == 304


def test_a_page_of_many_entries_has_neighbours(guestbook):
    for number in range(12):
        sent = json.dumps({"name": "n", "message": "entry number %d" % number})
        curl("-H", "Content-Type: application/json", "-d", sent, guestbook.url + "/api/entries")
    first, second = curl(guestbook.url + "/"), curl(guestbook.url + "/?page=2")
    assert 'href="/?page=2"' in first and "number 11" in first and "number 1<" not in first
    assert 'href="/?page=1"' in second and "number 1<" in second


def test_the_database_is_read_by_the_app_only(guestbook):
    files = [file for file in guestbook.folder.rglob("*.db")] + list(guestbook.folder.rglob("*.sqlite*"))
    assert files, "no database below %s" % guestbook.folder
    for file in files:
        modes = [os.stat(folder).st_mode & 0o077 for folder in (file, file.parent)]
        assert 0 in modes, "%s can be read by others" % file


def write_entry(site: Site, browser: Browser):
    browser.open(site.url)
    assert "Nobody has written yet" in browser.text()
    browser.type("#name", "Ada Lovelace")
    browser.type("#message", "Written in a real browser.\nWith two lines & <angle brackets>.")
    browser.click("button")


def test_an_entry_written_in_a_browser_is_there_after_a_restart(guestbook):
    with Browser() as browser:
        write_entry(guestbook, browser)
        assert browser.evaluate("location.pathname + location.hash") == "/#entry-1"
        assert "With two lines & <angle brackets>." in browser.text()
        guestbook.restart()
        browser.open(guestbook.url)
        assert "Ada Lovelace" in browser.text()
        assert browser.problems() == []
        browser.screenshot(SCREENSHOTS / "guestbook.png")
        browser.resize(390, 800, dark=True)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390, "it scrolls sideways"
        browser.screenshot(SCREENSHOTS / "guestbook-phone-dark.png")


def test_the_example_runs_as_it_stands():
    """What ./run serves is valid, whatever the port is good for on this machine."""
    done = subprocess.run([str(ROOT / "build/release/terrace"), "check", "examples/0-simple/site.toml"],
                          cwd=ROOT, capture_output=True, text=True, timeout=STOP_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- ./run below a folder that is closed to others

# Stands for a built terrace: says how it was called, and looks at the site as another user would.
CALLED = """#!/bin/sh
echo "called: $*"
cd "$(dirname "$3")"
setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'cat site.toml && test -x ../../build/release/guestbook && echo "may run"'
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_with_a_closed_checkout_is_served_a_copy_where_the_users_may_look(tmp_path):
    tmp_path.chmod(0o700)
    checkout = tmp_path / "terrace"
    for name in ("packages", "examples/0-simple"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy(ROOT / "run", checkout / "run")
    build = checkout / "build/release"
    build.mkdir(parents=True)
    (build / "build.ninja").write_text("build terrace: phony\nbuild guestbook: phony\n")
    for name, text in (("terrace", CALLED), ("guestbook", "#!/bin/sh\n")):
        (build / name).write_text(text)
        (build / name).chmod(0o755)
    # A /srv of its own, so that the copy of whoever works here stays as it is.
    command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o mode=755 none /srv && exec "$@"', "sh", checkout / "run"]
    done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "called: up --file /srv/terrace-example/examples/0-simple/site.toml\n" in done.stdout
    assert (ROOT / "examples/0-simple/site.toml").read_text() in done.stdout
    assert done.stdout.endswith("may run\n")
