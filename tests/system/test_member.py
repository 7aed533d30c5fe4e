"""The member: the process of a server that is one of several."""

import json
import os
import pwd
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from client import Load
from harness import wait_until

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root")
SERVERS = {"a": {"address": "127.0.0.21"}, "b": {"address": "127.0.0.22"}}
USERS = [None, "nobody"] if ROOT else [None]


def member_of(site) -> dict:
    return json.loads(site.command("status", "--json", check=False).stdout)["member"]


def wait_for_member(site, starts: int = 1) -> int:
    def look():
        member = member_of(site)
        return member["pid"] if member["pid"] and member["starts"] >= starts else 0

    return wait_until(look, "member number %d" % starts)


def ask(site, command: dict) -> dict:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(10)
        asking.connect(str(site.folder / "terrace/run/cluster/member.sock"))
        asking.sendall(json.dumps(command).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += asking.recv(65536) or b"\n"
    return json.loads(answer)


def one_of_two(make_site, **more):
    return make_site(servers=SERVERS, arguments=["--server", "a"], **more)


def test_a_server_alone_needs_none(make_site):
    site = make_site(servers={"a": SERVERS["a"]}, arguments=["--server", "a"])
    assert member_of(site) == {"pid": 0, "starts": 0}
    assert not site.find("terrace: member")


@pytest.mark.parametrize("user", USERS)
def test_a_second_server_in_the_file_starts_it_without_a_failed_request(make_site, user):
    site = make_site(servers={"a": SERVERS["a"]}, arguments=["--server", "a"], user=user)
    with Load(site.port) as load:
        site.write(servers=SERVERS)
        site.command("reload")
        wait_for_member(site)
        load.until(20)
    assert not load.result.failures, load.result
    assert wait_until(lambda: ask(site, {"command": "ping"}), "an answer")["ok"]


def test_its_death_touches_no_request(make_site):
    site = one_of_two(make_site)
    first = wait_for_member(site)
    with Load(site.port) as load:
        os.kill(first, signal.SIGKILL)
        second = wait_for_member(site, 2)
        load.until(20)
    assert second != first
    assert not load.result.failures, load.result


def test_an_upgrade_brings_a_new_one(make_site):
    site = one_of_two(make_site)
    first = wait_for_member(site)
    with Load(site.port) as load:
        site.command("upgrade")
        second = wait_for_member(site, 2)
        load.until(20)
    assert second != first
    assert not load.result.failures, load.result
    wait_until(lambda: len(site.find("terrace: member")) == 1, "one member")


@needs_root
def test_its_keys_are_out_of_reach_for_the_worker(make_site):
    site = one_of_two(make_site)
    wait_for_member(site)
    users = {one.title: pwd.getpwuid(one.uid).pw_name for one in site.processes()}
    assert users["terrace: member"] == "terrace-cluster"
    folder = site.folder / "terrace/state/cluster"
    about = folder.stat()
    assert (pwd.getpwuid(about.st_uid).pw_name, about.st_mode & 0o7777) == ("terrace-cluster", 0o700)
    controller, worker = site.find("terrace: controller")[0], site.find("terrace: worker")[0]
    group = about.st_gid

    def groups(pid: int) -> list[str]:
        lines = Path("/proc/%d/status" % pid).read_text().splitlines()
        return next(line.split()[1:] for line in lines if line.startswith("Groups:"))

    assert groups(controller.pid) == [str(group)]
    assert groups(worker.pid) == []
    # As the worker's user, without the group: neither socket and no file of the member.
    tries = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
    for path in ("run/cluster/member.sock",):
        tried = subprocess.run(["/usr/bin/python3", "-c", tries, str(site.folder / "terrace" / path)],
                               user="terrace", group="terrace", extra_groups=[], capture_output=True, text=True)
        assert "PermissionError" in tried.stderr
    logs = site.folder / "terrace/log"
    assert logs.stat().st_mode & 0o7777 == 0o2750
    assert {one.stat().st_gid for one in logs.iterdir()} == {group}


AS_WORKER = """
import socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect(sys.argv[1])
asking.sendall(sys.argv[2].encode() + b"\\n")
print(asking.makefile().readline())
"""


@needs_root
@pytest.mark.parametrize("question", [{"command": "read-secrets"}, {"command": "store-secret", "name": "TOKEN"},
                                      {"command": "take-site"}, {"command": "stop"}])
def test_the_worker_may_ask_the_controller_nothing(make_site, question):
    """It talks to strangers: whoever takes it over has its user, and gets neither secrets nor power from that."""
    site = make_site()
    worker = site.find("terrace: worker")[0]
    tried = subprocess.run(["/usr/bin/python3", "-c", AS_WORKER, str(site.folder / "terrace/run/control.sock"),
                            json.dumps(question)],
                           user=worker.uid, group="terrace", extra_groups=[], capture_output=True, text=True, timeout=30)
    assert "not for the user of the worker" in tried.stdout, tried.stdout + tried.stderr
    site.wait_for_log("refused at the control socket")
    assert json.loads(site.command("status", "--json").stdout)["state"] == "serving"
