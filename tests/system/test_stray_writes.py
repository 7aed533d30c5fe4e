"""An application that writes into its release, outside of `[app] writable`, is told so, with the path."""

import json
import os
import pwd

import pytest
from harness import Site, wait_until
from test_deploy import SECONDS, command, said
from test_site_deploy import deployable as servers_deployable  # noqa: F401
from test_site_deploy import deploy as deploy_to_all

# Appends to the file that a POST names, in a folder that is made for it.
APP = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_POST(self):
        path = self.path.lstrip("/")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "a") as file:
            file.write("x")
        self.answer()

    def answer(self):
        body = open("version").read().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

if os.access(".", os.W_OK):  # not in the site's folder as root
    open("at-start.txt", "w").close()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
FILES = {"app.py": APP, "version": "1", "static/site.css": "b{}", "uploads/.keep": "", "public/s.txt": "1"}


def write_release(site: Site):
    for path, content in FILES.items():
        site.write_file("release/" + path, content)
    return site.folder / "release"


def make(make_site, user: str | None = None) -> Site:
    site = make_site(
        files=FILES, user=user, ready="/up",
        app={"run": "exec /usr/bin/python3 app.py", "health": "/up", "instances": 2, "bake": "0s", "env": None,
             "build": "touch static/built.css", "migrate": "test ! -w static || touch static/migrated.css", "writable": ["uploads"]})
    return site


def deploy(site: Site):
    done = command(site, "deploy", str(write_release(site)))
    assert done.returncode == 0, said(done)


def stray(site: Site) -> list[str]:
    return json.loads(site.command("status", "--json", check=False).stdout).get("stray_writes", [])


def until_said(site: Site, paths: list[str]):
    wait_until(lambda: stray(site) == paths, "it says %s" % paths, SECONDS, 0.1)


def ordinary_user() -> str | None:
    try:
        return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None
    except KeyError:
        return None


@pytest.mark.parametrize("root", [True, False], ids=["as-started", "as-ordinary-user"])
def test_a_file_outside_of_writable_is_said_with_its_path_once(make_site, root):
    if not root and ordinary_user() is None:
        pytest.skip("needs root, to start it as somebody else")
    site = make(make_site, None if root else ordinary_user())
    deploy(site)
    for path in ("static/x.css", "static/x.css", "uploads/picture.jpg", "albums/one/a.jpg", "tmp/cache.bin",
                 "__pycache__/x.pyc", "worker.pid"):
        assert site.request("POST", "/" + path).status == 200
    until_said(site, ["albums/", "at-start.txt", "static/x.css"])

    shown = site.command("status")
    assert shown.returncode == 0
    assert "gone with the next deploy:\n  albums/\n  at-start.txt\n  static/x.css\n" in shown.stdout
    lines = [line for line in site.command("logs", "--lines", "1000").stdout.splitlines() if "outside of" in line]
    texts = [line.split(" ", 1)[1] for line in lines]
    assert sorted(texts) == ["app@1: warning: wrote %s, outside of [app] writable: it is on one server only, and "
                             "gone with the next deploy" % path for path in ("albums/", "at-start.txt", "static/x.css")]
    assert "path=static/x.css" in site.command("logs", "--terrace", "--lines", "1000").stdout


def test_each_release_is_looked_after_and_the_next_controller_goes_on(make_site):
    site = make(make_site)
    assert stray(site) == []
    deploy(site)
    until_said(site, ["at-start.txt"])
    deploy(site)
    until_said(site, ["at-start.txt"])
    killed = site.kill("terrace: controller").pid
    wait_until(lambda: any(one.pid != killed for one in site.find("terrace: controller")), "the next one", SECONDS)
    site.wait_until_serving(SECONDS)

    def said_again() -> bool:
        assert site.request("POST", "/static/x.css").status == 200
        return stray(site) == ["static/x.css"]

    wait_until(said_again, "the next controller notices too", SECONDS, 0.2)


def test_of_several_servers_the_one_that_has_the_file_says_so(servers_deployable):  # noqa: F811
    servers = servers_deployable("a", "b")
    done = deploy_to_all(servers, "a", "one", **{"app.py": APP})
    assert done.returncode == 0, done.stdout
    for site in servers.values():
        until_said(site, ["at-start.txt"])
    assert servers["b"].request("POST", "/public/only-b.txt").status == 200
    until_said(servers["b"], ["at-start.txt", "public/only-b.txt"])
    assert stray(servers["a"]) == ["at-start.txt"]
