"""`terrace upgrade`: another program takes the supervisor's place while the site serves.

The other version is a copy of the binary in which the text of the version is another
one; that it is this file that runs is read from /proc/PID/exe.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from client import Connection, Load
from harness import BINARY, ROOT, is_running, wait_until
from test_processes import USERS, instances, needs_root, recorders, status, wait_for_instances

VERSION = re.search(r"project\(terrace VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
SLOW = 60.0


def other_version(number: int) -> bytes:
    """The binary with another version of the same length: 0.1.0 becomes 0.1.1."""
    word = b"\0%s\0" % VERSION.encode()
    program = BINARY.read_bytes()
    assert program.count(word) == 1
    return program.replace(word, b"\0%s%d\0" % (VERSION[:-1].encode(), number))


class Installed:
    """A program in a folder of its own, replaced as a package does it: a new file in the old one's place."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="terrace-test-bin-"))
        self.folder.chmod(0o755)
        self.path = self.folder / "terrace"
        shutil.copy(BINARY, self.path)

    def install(self, program: bytes, mode: int = 0o755):
        new = self.folder / "terrace.dpkg-new"
        new.write_bytes(program)
        new.chmod(mode)
        new.rename(self.path)

    def is_program_of(self, pid: int) -> bool:
        return os.stat("/proc/%d/exe" % pid).st_ino == self.path.stat().st_ino


@pytest.fixture
def installed():
    program = Installed()
    yield program
    shutil.rmtree(program.folder)


def open_descriptors(pid: int) -> list[str]:
    folder = Path("/proc/%d/fd" % pid)
    return sorted(re.sub(r"\[\d+\]", "", os.readlink(one)) for one in folder.iterdir())


def web_socket(site) -> Connection:
    """An open tunnel; echo() of the recorder is behind it."""
    connection = site.connect()
    connection.send(b"GET /tunnel HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    assert connection.read_head().status == 101
    return connection


def still_echoes(connection: Connection, word: bytes) -> bool:
    connection.send(word)
    return connection.read_exactly(len(word)) == word


def wait_for_upgrades(site, count: int):
    def look():
        answer = site.command("status", "--json", check=False)
        now = json.loads(answer.stdout) if answer.stdout else {}
        return now if now.get("program", {}).get("upgrades") == count and now["worker"]["connected"] else None

    return wait_until(look, "upgrade %d" % count, SLOW)


def worker_of(site) -> int:
    return status(site)["worker"]["pid"]


# ---- under load


@pytest.mark.parametrize("user", USERS)
def test_under_load_no_request_fails_and_the_file_that_was_installed_is_what_runs(make_site, installed, user):
    site = make_site(user=user, binary=installed.path, app={"instances": 2})
    wait_for_instances(site, 2)
    before, apps, worker = status(site), recorders(site), worker_of(site)
    socket = web_socket(site)
    idle = site.connect()
    assert idle.get("/").status == 200
    with Load(site.port, "/", resend=False) as kept, Load(site.port, "/", fresh=True) as fresh:
        kept.until(50)
        installed.install(other_version(7))
        answer = site.command("upgrade")
        print(answer.stdout)
        kept.until(100)
        fresh.until(100)
    assert not kept.result.failures, kept.result
    assert not fresh.result.failures, fresh.result
    print("kept connections: %s\nfresh connections: %s" % (kept.result, fresh.result))
    after = status(site)
    assert after["program"] == {"version": VERSION[:-1] + "7", "upgrades": 1}
    assert VERSION[:-1] + "7" in answer.stdout
    assert after["supervisor"] == before["supervisor"] and site.child.poll() is None
    assert recorders(site) == apps
    assert [(one["pid"], one["restarts"]) for one in after["instances"]] == [
        (one["pid"], 0) for one in before["instances"]]
    for pid in (site.child.pid, after["controller"]["pid"], after["worker"]["pid"]):
        assert installed.is_program_of(pid)
    assert after["worker"]["retiring"] == 1 and is_running(worker) and not installed.is_program_of(worker)
    # A connection of before has one more answer, which says that it is the last one.
    last = idle.get("/")
    assert last.status == 200 and last["connection"] == "close"
    assert still_echoes(socket, b"after the upgrade")
    socket.close()
    wait_until(lambda: not is_running(worker), "the worker of before gone", SLOW)
    wait_until(lambda: status(site)["worker"]["retiring"] == 0, "nobody retiring")


def test_a_request_in_flight_is_finished_by_the_worker_that_has_it(make_site, installed):
    site = make_site(binary=installed.path)
    with site.connect() as connection:
        connection.send(b"GET /wait/answer HTTP/1.1\r\nHost: localhost\r\n\r\n")
        site.recorder.wait_for(2)
        site.command("upgrade")
        assert site.get("/").text == "recorded\n"
        site.recorder.go("answer")
        assert connection.read_response().status == 200


def test_a_web_socket_lives_until_the_drain_limit(make_site, installed):
    site = make_site(binary=installed.path, web={"drain_timeout": "3s"})
    worker = worker_of(site)
    began = time.monotonic()
    with web_socket(site) as socket:
        site.command("upgrade")
        while time.monotonic() < began + 2.0:
            assert still_echoes(socket, b"still here")
        assert socket.is_closed(SLOW)
    wait_until(lambda: not is_running(worker), "the worker of before gone", SLOW)


def test_ten_upgrades_under_load_leak_no_descriptor_and_no_process(make_site, installed):
    site = make_site(binary=installed.path, app={"instances": 2})
    wait_for_instances(site, 2)
    apps = recorders(site)
    held = []
    with Load(site.port, "/", rate=100, resend=False) as load:
        for count in range(1, 11):
            load.until(10)
            installed.install(other_version(count % 10))
            site.command("upgrade")
            wait_until(lambda: status(site)["worker"]["retiring"] == 0, "the worker of before gone", SLOW)
            held.append(open_descriptors(site.child.pid))
    assert not load.result.failures, load.result
    assert held[-1] == held[0], "%s\n%s" % (held[0], held[-1])
    assert recorders(site) == apps and status(site)["program"]["upgrades"] == 10
    titles = sorted(one.title for one in site.processes() if one.title.startswith("terrace: "))
    assert titles == ["terrace: app-1", "terrace: app-2", "terrace: controller", "terrace: supervisor", "terrace: worker"]


def test_in_the_middle_of_a_rolling_restart_no_request_fails(make_site, installed):
    site = make_site(binary=installed.path, app={"instances": 2})
    wait_for_instances(site, 2)
    before = recorders(site)
    with Load(site.port, "/", resend=False) as load:
        load.until(50)
        restart = subprocess.Popen([str(installed.path), "restart", "app", "--file", str(site.file)],
                                   env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: set(recorders(site)) - set(before), "a new instance")
        site.command("upgrade")
        restart.wait(SLOW)  # whose controller is gone
        load.until(50)
        # What the restart had begun is in order at the end, whether it went on or not.
        wait_until(lambda: [one["state"] for one in instances(site)] == ["up", "up"], "two instances, both up", SLOW)
        site.command("restart", "app")
        load.until(50)
    assert not load.result.failures, load.result
    assert not set(recorders(site)) & set(before) and len(recorders(site)) == 2


def test_sigusr2_to_the_supervisor_does_the_same(make_site, installed):
    site = make_site(binary=installed.path)
    installed.install(other_version(3))
    site.child.send_signal(signal.SIGUSR2)
    assert wait_for_upgrades(site, 1)["program"]["version"] == VERSION[:-1] + "3"


# ---- what goes on afterwards


def test_the_supervisor_of_after_knows_all_that_it_must(make_site, installed):
    site = make_site(binary=installed.path)
    site.command("upgrade")
    first = recorders(site)[0]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: recorders(site)[:1] not in ([], [first]), "another instance", SLOW)
    wait_for_instances(site, 1)
    site.kill("terrace: worker")
    wait_until(lambda: site._is_serving(), "another worker", SLOW)
    site.kill("terrace: controller")
    wait_until(lambda: site.command("status", check=False).returncode == 0, "another controller", SLOW)
    site.write(app={"instances": 2})
    site.command("reload")
    wait_for_instances(site, 2, seconds=SLOW)
    second = subprocess.run([str(BINARY), "up", "--file", str(site.file)], env=site.environment,
                            capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "runs already" in second.stderr
    assert site.stop() == 0


def test_a_stop_after_an_upgrade_ends_the_worker_of_before_too(make_site, installed):
    site = make_site(binary=installed.path)
    with web_socket(site):
        site.command("upgrade")
        assert site.stop(signal.SIGINT) == 0
    assert not site.left_behind()


@needs_root
def test_when_the_supervisor_is_killed_after_an_upgrade_nothing_outlives_it(make_site, installed):
    site = make_site(binary=installed.path)
    with web_socket(site):
        site.command("upgrade")
        tree = site.processes()
        assert len([one for one in tree if "worker" in one.title]) == 2
        os.kill(site.child.pid, signal.SIGKILL)
        site.child.wait()
        wait_until(lambda: not [one for one in tree if is_running(one.pid)], "all gone", SLOW)


# ---- refused


def broken_programs() -> dict:
    return {
        "is cut off": BINARY.read_bytes()[: 1 << 16],
        "is no program": b"not a program\n",
        "ends with an error": Path("/bin/false").read_bytes(),
        "is another program": Path("/bin/true").read_bytes(),
        "cannot take over": b'#!/bin/sh\n[ "$1" = --version ] && echo "terrace 9.9.9" && exit 0\nexit 2\n',
    }


@pytest.mark.parametrize("what", ["is cut off", "is no program", "ends with an error", "is another program",
                                  "cannot take over"])
def test_a_new_program_is_refused_that(make_site, installed, what):
    site = make_site(binary=installed.path)
    before = status(site)
    with Load(site.port, "/", resend=False) as load:
        load.until(20)
        installed.install(broken_programs()[what])
        # The command line is the program that cannot run: the one of before asks.
        answer = subprocess.run([str(BINARY), "upgrade", "--file", str(site.file)], env=site.environment,
                                capture_output=True, text=True, timeout=SLOW)
        load.until(20)
    print(answer.stderr)
    assert answer.returncode == 1 and "no upgrade" in answer.stderr and str(installed.path) in answer.stderr
    assert not load.result.failures, load.result
    after = status_by(BINARY, site)
    for key in ("program", "supervisor", "controller", "worker"):
        assert after[key] == before[key]


def status_by(binary, site) -> dict:
    answer = subprocess.run([str(binary), "status", "--json", "--file", str(site.file)], env=site.environment,
                            capture_output=True, text=True, timeout=30)
    return json.loads(answer.stdout)


@needs_root
def test_root_runs_no_program_that_others_may_write_to(make_site, installed):
    site = make_site(binary=installed.path)
    installed.install(other_version(1), mode=0o777)
    answer = site.command("upgrade", check=False)
    assert answer.returncode == 1 and "others than root" in answer.stderr
    installed.install(other_version(1))
    assert site.command("upgrade").returncode == 0


def test_a_program_that_was_removed_is_said(make_site, installed):
    site = make_site(binary=installed.path)
    installed.path.unlink()
    answer = subprocess.run([str(BINARY), "upgrade", "--file", str(site.file)], env=site.environment,
                            capture_output=True, text=True, timeout=SLOW)
    assert answer.returncode == 1 and "No such file" in answer.stderr
    assert site.get("/").status == 200
    shutil.copy(BINARY, installed.path)
