"""The Debian package on a Debian 12 that was booted for it: installed, started, upgraded under load,
cut from power, removed. See machine.py for what the machine is and is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import BINARY, ROOT, wait_until
from machine import Clock, Machine, missing
from test_upgrade import VERSION, other_version

pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

APP = """
import http.server, os, pathlib, sqlite3
database = sqlite3.connect(os.environ["DATABASE_URL"].split("///")[-1] if "///" in os.environ["DATABASE_URL"] else "x",
                           check_same_thread=False, timeout=30)
database.execute("create table if not exists visit (at text)")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_POST(self):
        database.execute("insert into visit values (datetime())")
        database.commit()
        self.do_GET()
    def do_GET(self):
        body = b"%d visits of release @RELEASE@" % database.execute("select count(*) from visit").fetchone()[0]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

SITE = """
[site]
name = "shop"

[app]
run = "/usr/bin/python3 app.py"
bake = "0s"
instances = 2

[web]
files = "public"
listen = ["127.0.0.1:8080"]
"""


def make_package(folder: Path, binary: Path, version: str) -> Path:
    environment = {**os.environ, "TERRACE_BIN": str(binary), "TERRACE_VERSION": version}
    made = subprocess.run([str(ROOT / "packages/deb/build"), str(folder)], env=environment, check=True,
                          capture_output=True, text=True)
    return Path(made.stdout.strip())


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> tuple[Path, Path]:
    """The package of the binary, and one of a later version."""
    folder = tmp_path_factory.mktemp("package")
    later = folder / "terrace"
    later.write_bytes(other_version(9))
    later.chmod(0o755)
    return (make_package(folder, BINARY, VERSION), make_package(folder, later, VERSION[:-1] + "9"))


def test_the_same_sources_make_the_same_package(tmp_path):
    first = make_package(tmp_path / "a", BINARY, VERSION).read_bytes()
    assert make_package(tmp_path / "b", BINARY, VERSION).read_bytes() == first


def test_the_completions_complete(packages, tmp_path):
    subprocess.run(["dpkg-deb", "--extract", str(packages[0]), str(tmp_path)], check=True)
    script = tmp_path / "usr/share/bash-completion/completions/terrace"
    code = "source %s; COMP_WORDS=(terrace upg); COMP_CWORD=1; _terrace; echo ${COMPREPLY[@]}" % script
    assert subprocess.run(["bash", "-c", code], capture_output=True, text=True).stdout == "upgrade\n"
    code = "source %s; COMP_WORDS=(terrace status --w); COMP_CWORD=2; _terrace; echo ${COMPREPLY[@]}" % script
    assert subprocess.run(["bash", "-c", code], capture_output=True, text=True).stdout == "--watch\n"
    for what in ("bash", "zsh", "fish"):
        made = subprocess.run([str(BINARY), "generate", what], capture_output=True, check=True).stdout
        found = [one for one in tmp_path.rglob("*terrace*") if one.is_file() and one.read_bytes() == made]
        assert len(found) == 1, what


def ask(machine, path="/") -> str:
    return machine.run("curl -fsS http://127.0.0.1:8080" + path, check=False).stdout


def test_a_bare_debian_is_installed_upgraded_cut_off_and_cleaned(packages):
    clock = Clock()
    with Machine() as machine:
        clock.step("a bare Debian 12 boots")
        for name, package in zip(("first", "later"), packages):
            machine.put(package, "/root/%s.deb" % name)
        machine.run("dpkg -i first.deb")
        clock.step("the package is installed")
        assert machine.run("systemctl is-enabled terrace").stdout == "enabled\n"
        assert machine.run("systemctl is-active terrace", check=False).stdout == "inactive\n"
        # Debian's etcd would be a service of its own when it is installed; the program is enough.
        assert machine.run("systemctl is-enabled etcd.service", check=False).stdout == "masked\n"
        assert "terrace-app" in machine.run("getent passwd terrace terrace-app terrace-cluster").stdout
        assert "site.toml" in machine.run("man terrace | cat").stdout
        assert "idle_timeout" in machine.run("man site.toml | cat").stdout

        machine.write("/srv/shop/app.py", APP.replace("@RELEASE@", "one"))
        machine.write("/srv/shop/site.toml", SITE)
        machine.write("/srv/shop/public/a.txt", "a file\n")
        print(machine.run("cd /srv/shop && terrace up --detach").stdout)
        clock.step("terrace up --detach")
        assert ask(machine) == "0 visits of release one" and ask(machine, "/a.txt") == "a file\n"
        machine.run("curl -fsS -X POST http://127.0.0.1:8080/")

        before = json.loads(machine.run("terrace status --json").stdout)
        pid = machine.run("systemctl show terrace -p MainPID --value").stdout
        load = machine.start_load(8.0, 8080)
        print(machine.run("dpkg -i later.deb").stdout)
        clock.step("a later version under load")
        output, _ = load.communicate(timeout=120)
        print(output)
        assert load.returncode == 0, output
        after = json.loads(machine.run("terrace status --json").stdout)
        assert after["program"] == {"version": VERSION[:-1] + "9", "upgrades": 1}
        assert [one["pid"] for one in after["instances"]] == [one["pid"] for one in before["instances"]]
        assert machine.run("systemctl show terrace -p MainPID --value").stdout == pid
        assert machine.run("systemctl is-active terrace").stdout == "active\n"

        clock.step("seen that it is the later one")
        machine.cut_power()
        machine.boot()
        wait_until(lambda: ask(machine) == "1 visits of release one", "release and data as before", 60.0, 0.2)
        clock.step("the power is cut, and it serves again")
        assert machine.run("systemctl reload terrace").returncode == 0
        machine.run("systemctl kill --signal=SIGKILL --kill-whom=main terrace")
        wait_until(lambda: ask(machine) == "1 visits of release one", "started again by systemd", 60.0, 0.2)
        clock.step("the supervisor is killed, and systemd starts it again")

        machine.run("dpkg -r terrace")
        assert ask(machine) == "" and machine.run("pgrep -f ^terrace:", check=False).stdout == ""
        assert machine.run("ls /etc/terrace/site.toml").returncode == 0
        machine.run("dpkg -i later.deb")
        wait_until(lambda: ask(machine) == "1 visits of release one", "installed anew, with its data", 60.0, 0.2)
        said = machine.run("dpkg -P terrace").stderr
        assert "masked" not in machine.run("systemctl is-enabled etcd.service", check=False).stdout
        assert "/var/lib/terrace/database" in said
        assert "shop.sqlite3" in machine.run("ls /var/lib/terrace/database").stdout
        assert machine.run("ls /etc/terrace /var/log/terrace /var/lib/terrace/releases", check=False).stdout == ""
        clock.step("removed, installed anew, purged")
    print(clock, file=sys.stderr)
