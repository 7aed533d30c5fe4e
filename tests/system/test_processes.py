"""The supervisor, the controller, the worker and the instances: who may die, and what then happens."""

import json
import os
import pwd
import re
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from client import Load
from harness import BINARY, is_listening, is_running, wait_until

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root")
# As root every test of survival runs a second time as an ordinary user.
USERS = [None, "nobody"] if ROOT else [None]

# As npm does it: the command is a child of a shell of a shell, and something of it
# detaches into sessions of its own and to another parent.
TREE = (
    "sh -c 'setsid sh -c \"setsid sleep 1001 & sleep 1002\" & "
    "sh -c \"sh -c \\\"/usr/bin/python3 -u recorder.py; true\\\"; true\"; true'"
)

# Does not end on SIGTERM.
STUBBORN = "/usr/bin/python3 -u recorder.py & trap '' TERM; while :; do sleep 1; done"

# A server of node that leaves two children behind: one in a session of its own, one without its parent, too.
NODE = {
    "package.json": '{"name": "site", "version": "1.0.0", "scripts": {"start": "sh -c \'node server.js\'"}}',
    "server.js": """
        const { spawn } = require("child_process");
        const own = { detached: true, stdio: "ignore" };
        spawn("sleep", ["1001"], own).unref();
        spawn("sh", ["-c", "setsid sh -c 'sleep 1002 & exit' & exit"], own).unref();
        require("http").createServer((request, response) => response.end("node\\n")).listen(process.env.PORT, "127.0.0.1");
    """,
}


def status(site) -> dict:
    return json.loads(site.command("status", "--json", check=False).stdout)


def instances(site) -> list[dict]:
    return status(site)["instances"]


def recorders(site) -> list[int]:
    return [one.pid for one in site.find("python3 -u recorder.py") if not one.title.startswith(("sh", "/bin/sh"))]


def wait_for_instances(site, count: int, state: str = "up", seconds: float = 15.0) -> list[dict]:
    def look():
        have = instances(site)
        return have if [one["state"] for one in have] == [state] * count else None

    return wait_until(look, "%d instances %s: %s" % (count, state, instances(site)), seconds)


def app_log(site) -> str:
    return (site.folder / "terrace/log/app.log").read_text()


def status_fields(pid: int) -> dict:
    lines = Path("/proc/%d/status" % pid).read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


# ---- nothing outlives Terrace


@pytest.mark.parametrize("user", USERS)
def test_when_the_supervisor_is_killed_nothing_of_the_site_outlives_it(make_site, user):
    site = make_site(user=user, app={"run": TREE, "instances": 2})
    wait_until(lambda: len(site.find("sleep 100")) >= 4, "the detached grandchildren")
    tree = site.processes()
    began = time.monotonic()
    os.kill(site.child.pid, signal.SIGKILL)
    site.child.wait()
    wait_until(lambda: not [p for p in tree if is_running(p.pid)], "all %d processes gone" % len(tree), 5.0, 0.001)
    print("%d processes were gone after %.0f ms" % (len(tree), (time.monotonic() - began) * 1000))
    assert not site.left_behind()


@pytest.mark.parametrize("user", USERS)
def test_what_npm_and_node_have_started_does_not_outlive_it_either(make_site, user):
    site = make_site(start=False, user=user, files={**NODE, "cache/.keep": ""}, app={
        "run": "npm start --no-update-notifier", "health": "/",
        "env": {"PATH": os.environ["PATH"], "npm_config_cache": "cache"}})
    (site.folder / "cache").chmod(0o777)
    site.start(wait=False)
    site.wait_until_serving(60.0)
    assert site.get("/").text == "node\n"
    wait_until(lambda: sorted(p.title for p in site.find("sleep 100")) == ["sleep 1001", "sleep 1002"],
               "two detached sleepers, and the shells that started one of them gone")
    tree = site.processes()
    assert [p for p in tree if p.title.startswith("npm")], tree
    node = [p for p in tree if p.title == "node server.js"][0]
    daemon = [p for p in tree if p.title == "sleep 1002"][0]
    assert daemon.parent != node.pid
    os.kill(site.child.pid, signal.SIGKILL)
    site.child.wait()
    wait_until(lambda: not [p for p in tree if is_running(p.pid)], "all %d processes gone" % len(tree))
    assert not site.left_behind()


@pytest.mark.parametrize("user", USERS)
def test_a_stop_ends_everything_and_exits_with_zero(make_site, user):
    site = make_site(user=user, app={"run": TREE, "grace": "1s"})
    wait_until(lambda: len(site.find("sleep 100")) >= 2, "the detached grandchildren")
    assert site.stop() == 0
    assert not site.left_behind()
    assert not (site.folder / "terrace/run/control.sock").exists()


def test_the_daemons_of_an_instance_end_with_it(make_site):
    site = make_site(app={"run": TREE})
    before = wait_until(lambda: site.find("sleep 100"), "the detached grandchildren")
    os.kill(recorders(site)[0], signal.SIGKILL)
    wait_until(lambda: not [p for p in before if is_running(p.pid)], "the detached grandchildren of the old instance gone")
    wait_for_instances(site, 1)


# ---- who is who, and what each may do


def test_each_process_shows_its_name(make_site):
    site = make_site()
    titles = [one.title for one in site.processes()]
    assert titles[0] == "terrace: supervisor"
    for title in ("terrace: controller", "terrace: worker", "terrace: app-1"):
        assert title in titles


@needs_root
def test_as_root_only_the_supervisor_keeps_privileges(make_site):
    site = make_site()
    users = {p.title: pwd.getpwuid(p.uid).pw_name for p in site.processes()}
    assert users["terrace: supervisor"] == "root"
    assert users["terrace: controller"] == users["terrace: worker"] == "terrace"
    assert users["terrace: app-1"] == "terrace-app"
    for one in site.processes()[1:]:
        fields = status_fields(one.pid)
        assert fields["CapEff"] == fields["CapPrm"] == fields["CapBnd"] == fields["CapAmb"] == "0" * 16, one
        assert fields["NoNewPrivs"] == "1", one
    assert status_fields(site.find("terrace: worker")[0].pid)["Seccomp"] == "2"


READS_MEMORY = """
import os, sys
os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
for name in ("mem", "environ"):
    try:
        open("/proc/%s/%s" % (sys.argv[1], name), "rb").read(1)
    except PermissionError:
        continue
    sys.exit(name + " is open")
"""


@needs_root
def test_no_process_of_the_same_user_reads_what_the_worker_holds(make_site):
    site = make_site()
    worker = site.find("terrace: worker")[0].pid
    user = int(status_fields(worker)["Uid"].split()[0])
    assert user != 0
    for name in ("mem", "environ", "maps"):
        assert os.stat("/proc/%d/%s" % (worker, name)).st_uid == 0
    done = subprocess.run(["/usr/bin/python3", "-c", READS_MEMORY, str(worker), str(user)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert site.metrics()["process_open_fds"] > 5  # it still sees its own



def test_the_worker_does_not_know_the_environment(make_site):
    site = make_site(environment={"SITE_SECRET": "hunter2"})
    worker = site.find("terrace: worker")[0].pid
    assert b"hunter2" not in Path("/proc/%d/environ" % worker).read_bytes()


def test_the_worker_waits_for_no_larger_table_of_descriptors(make_site):
    site = make_site()
    worker = site.find("terrace: worker")[0].pid
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(status_fields(worker)["FDSize"]) >= min(most, 32768)
    assert site.metrics()["process_open_fds"] < 100


@needs_root
def test_an_ordinary_user_is_told_in_one_line_what_is_off(make_site):
    site = make_site(user="nobody")
    said = [line for line in site.log().splitlines() if "not started as root" in line]
    assert len(said) == 1
    for word in ("ports under 1024", "users of their own", "memory limit", "are off", "user=nobody"):
        assert word in said[0]
    assert {pwd.getpwuid(one.uid).pw_name for one in site.processes()} == {"nobody"}


@needs_root
@pytest.mark.parametrize("user", ["root", "daemon", "terrace"])
def test_the_app_runs_neither_as_root_nor_as_a_stranger_nor_as_us(make_site, user):
    site = make_site(start=False, app={"user": user})
    site.start(wait=False)
    wait_until(lambda: "app user" in site.log() or "never runs as root" in site.log(), "the refusal in the log")
    assert recorders(site) == []


@pytest.fixture
def stranger():
    """A system user that is in no group but its own; make_site must come after it."""
    name = "terrace-test-%d" % os.getpid()
    subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", name], check=True)
    yield name
    subprocess.run(["userdel", "--force", name], check=True)


@needs_root
def test_the_app_runs_in_its_folder_as_a_user_that_joined_its_group(stranger, make_site):
    site = make_site(start=False, files={"inner/.keep": ""}, app={
        "user": stranger, "folder": "inner", "run": "/usr/bin/python3 -u ../recorder.py"})
    site.start(wait=False)
    site.wait_for_log("not a member of the group terrace-app")
    site.stop()
    subprocess.run(["usermod", "--append", "--groups", "terrace-app", stranger], check=True)
    site.start()
    assert json.loads(site.get("/about").body)["folder"] == str(site.folder / "inner")
    assert {pwd.getpwuid(one.uid).pw_name for one in site.find("recorder.py")} == {stranger}


@needs_root
def test_the_database_folder_is_closed_to_others(make_site):
    site = make_site(db={"engine": "sqlite"}, app={"run": "touch $${DATABASE_URL#sqlite:///} && exec python3 recorder.py"})
    database = site.folder / "terrace/state/database/test.sqlite3"
    assert database.exists()
    assert pwd.getpwuid(database.stat().st_uid).pw_name == "terrace-app"
    for user in ("nobody", "terrace"):
        attempt = subprocess.run(["cat", str(database)], user=user, capture_output=True, text=True)
        assert attempt.returncode != 0 and "Permission denied" in attempt.stderr


def test_the_instance_finds_its_place_in_its_environment(make_site):
    site = make_site(db={"engine": "sqlite"}, app={"env": {"MODE": "test", "RECORDER": "recorder"}})
    about = json.loads(site.get("/about").body)
    environment = about["environment"]
    assert environment["MODE"] == "test"
    assert re.fullmatch(r"\d+", environment["PORT"])
    assert environment["DATABASE_URL"] == "sqlite:///%s/terrace/state/database/test.sqlite3" % site.folder
    assert os.path.isdir(environment["HOME"])
    assert about["folder"] == str(site.folder)


@pytest.mark.parametrize("user", USERS)
def test_an_instance_can_listen_on_a_unix_socket(make_site, user):
    site = make_site(user=user, app={"socket": "unix"})
    assert site.get("/").text == "recorded\n"
    assert instances(site)[0]["address"].startswith("unix:")


def test_a_second_up_of_the_same_site_is_told_so(make_site):
    site = make_site()
    second = subprocess.run([str(BINARY), "up", "--file", str(site.file)], env=site.environment, capture_output=True, text=True, timeout=10)
    assert second.returncode == 1
    assert "runs already" in second.stderr and str(site.child.pid) in second.stderr


# ---- the controller


def test_nobody_notices_that_the_controller_is_killed(make_site):
    site = make_site(app={"instances": 2})
    wait_for_instances(site, 2)
    before = recorders(site)
    with Load(site.port, "/log/line") as load:
        for starts in (2, 3, 4):
            load.until(50)
            site.kill("terrace: controller")
            wait_until(
                lambda: (site.command("status", "--json", check=False).returncode == 0
                         and status(site)["controller"]["starts"] == starts),
                "a new controller",
            )
            load.until(50)
    assert not load.result.failures, load.result
    assert recorders(site) == before
    assert [one["state"] for one in instances(site)] == ["up", "up"]
    # What the instances printed meanwhile is in the log, but for at most one line that each
    # of the three had taken from the pipe when it was killed.
    wait_until(lambda: app_log(site).count(": line\n") >= load.result.requests - 3, "the lines in the log")


def test_a_new_controller_still_restarts_what_ends_and_keeps_the_accepted_file(make_site):
    site = make_site()
    good = site.file.read_text()
    site.file.write_text("[site\n")
    site.kill("terrace: controller")
    wait_until(lambda: "terrace: controller" in [p.title for p in site.processes()], "a new controller")
    os.kill(recorders(site)[0], signal.SIGKILL)
    wait_for_instances(site, 1)
    assert site.get("/").text == "recorded\n"
    site.file.write_text(good)


def test_a_new_controller_probes_the_instances_that_it_found(make_site):
    site = make_site(app={"health": "/answer/health", "health_interval": "100ms"}, ready="/answer/health", start=False)
    site.recorder.answer("health", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    site.start()
    killed = site.kill("terrace: controller")
    wait_until(lambda: any(p.pid != killed.pid for p in site.find("terrace: controller")), "a new controller")
    wait_for_instances(site, 1)
    site.recorder.answer("health", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    wait_for_instances(site, 1, "starting")


# ---- the worker


def test_a_killed_worker_refuses_no_connection_and_is_back_within_200_ms(make_site):
    site = make_site(app={"instances": 2})
    gaps = []
    for _ in range(5):
        with Load(site.port, "/", fresh=True) as load:
            load.until(50)
            site.kill("terrace: worker")
            load.until(100)
        refused = [one for one in load.result.failures if "Refused" in one.what]
        assert not refused, load.result
        # Only what was in the hands of the worker itself can be cut off.
        assert len(load.result.failures) <= 4, load.result
        gaps.append(load.result.longest_gap)
    print("served again after %s ms; promised 200" % ", ".join("%.0f" % (gap * 1000) for gap in gaps))
    assert sorted(gaps)[len(gaps) // 2] < 3 * 0.2


# ---- the instances


def test_an_instance_that_ends_is_started_again_and_its_end_is_said(make_site):
    site = make_site()
    first = recorders(site)[0]
    # Not a GET: that would be sent to the next instance, too.
    assert site.request("POST", "/exit/3").status in (502, 503)
    wait_until(lambda: recorders(site) and recorders(site)[0] != first, "another process")
    one = wait_for_instances(site, 1)[0]
    assert one["restarts"] == 1 and one["last_exit"] == "exit status 3"
    assert "app-1: ended: exit status 3" in app_log(site)


def test_a_crash_loop_is_recognised_and_said_with_the_last_words(make_site):
    site = make_site(start=False, app={"run": "echo the disk is on fire; exit 9"})
    site.start(wait=False)
    site.wait_for_log("a crash loop")
    said = [line for line in site.log().splitlines() if "a crash loop" in line][0]
    assert "exit status 9" in said and "the disk is on fire" in said
    one = wait_for_instances(site, 1, "crash-loop")[0]
    assert one["last_exit"] == "exit status 9"
    assert one["last_output"] == ["the disk is on fire"]
    ends = re.findall(r"^(\S+) app-1: ended", app_log(site), re.M)
    times = [time.mktime(time.strptime(end[:19], "%Y-%m-%dT%H:%M:%S")) + float(end[19:-1]) for end in ends]
    pauses = [later - earlier for earlier, later in zip(times, times[1:])]
    print("pauses between the ends: %s s" % ", ".join("%.2f" % pause for pause in pauses))
    for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8)):
        assert pause >= least - 0.002


def test_a_unit_is_ready_with_its_files_when_the_application_does_not_come_up(make_site, tmp_path):
    """systemd would end it at TimeoutStartSec, and start it anew, for ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(tmp_path / "notify"))
        notices.settimeout(30)
        site = make_site(start=False, app={"run": "exec sleep 1000", "start_timeout": "1s"},
                         web={"files": "public"}, files={"public/page.html": "a page"},
                         environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        site.start(wait=False)
        assert notices.recv(4096).decode() == "READY=1\nSTATUS=The application is not up yet."
        with site.connect() as connection:
            assert connection.get("/page.html").body == b"a page"
        assert status(site)["state"] == "starting"


def test_a_command_that_does_not_exist_is_said(make_site):
    site = make_site(start=False, app={"run": "/no/such/program"})
    site.start(wait=False)
    wait_until(lambda: "not found" in app_log(site) if (site.folder / "terrace/log/app.log").exists() else "",
               "the shell's words in the log")
    assert instances(site)[0]["last_exit"] == "exit status 127"


def test_every_line_of_output_is_in_the_log_with_time_and_name(make_site):
    site = make_site(app={"run": "echo 'two  spaces'; printf 'no end'; echo oops >&2; head -c 20000 /dev/zero | tr '\\0' x;"
                                 " echo; exec /usr/bin/python3 -u recorder.py"})
    text = app_log(site)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z app-1: "
    for line in text.splitlines():
        assert re.match(stamp, line), line
        assert len(line) < 9000
    assert re.search(stamp + "two  spaces\n", text)
    assert "oops" in text
    assert text.count("x") >= 20000


def test_an_app_that_ignores_sigterm_is_killed_after_its_grace(make_site):
    site = make_site(app={"run": STUBBORN, "grace": "1s"})
    began = time.monotonic()
    assert site.stop() == 0
    assert 1.0 <= time.monotonic() - began < 5.0


def test_an_app_that_obeys_sigterm_is_not_killed(make_site):
    site = make_site(app={"run": "trap 'echo goodbye; kill $app; exit 0' TERM; /usr/bin/python3 -u recorder.py & app=$!; "
                                 "while :; do wait $app; done"})
    site.stop()
    assert "app-1: goodbye\n" in app_log(site)
    assert "app-1: stopped: exit status 0\n" in app_log(site)


def test_a_sigterm_to_every_process_is_a_stop_in_order(make_site):
    site = make_site()
    with site.connect() as connection:
        connection.send(b"GET /chunked/1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for one in site.find("terrace: "):
            if "app" not in one.title:
                os.kill(one.pid, signal.SIGTERM)
        assert connection.read_response().status == 200
    assert site.child.wait(10) == 0
    assert "started again" not in site.log()


def test_a_second_signal_ends_the_site_at_once(make_site):
    site = make_site(app={"run": STUBBORN, "grace": "10m"})
    site.child.send_signal(signal.SIGTERM)
    site.wait_for_log("the site stops")
    began = time.monotonic()
    assert site.stop(signal.SIGINT) == 0
    assert time.monotonic() - began < 5.0


def test_a_stop_lets_the_request_in_flight_finish(make_site):
    site = make_site()
    with site.connect() as connection:
        connection.send(b"GET /wait/answer HTTP/1.1\r\nHost: localhost\r\n\r\n")
        site.recorder.wait_for(2)
        site.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_listening(site.port), "the address closed")
        site.recorder.go("answer")
        assert connection.read_response().status == 200
    assert site.child.wait(10) == 0


@needs_root
def test_a_site_in_a_folder_that_is_closed_to_its_users_says_which(make_site):
    site = make_site(start=False)
    site.folder.chmod(0o700)
    site.start(wait=False)
    site.wait_for_log("user=terrace-app closed=%s" % site.folder)


@needs_root
def test_an_instance_above_its_memory_is_killed_and_that_is_said(make_site):
    hungry = "/usr/bin/python3 -c 'import time; time.sleep(0.3); x = bytearray(300_000_000); time.sleep(600)'"
    site = make_site(start=False, app={"run": hungry, "memory": "64MB"})
    site.start(wait=False)
    wait_until(lambda: "out of memory" in site.log(), "the end in the log", 15)
    if status(site).get("limits") == "rlimit":
        pytest.skip("no cgroups here")
    assert instances(site)[0]["last_exit"] == "out of memory"


@needs_root
def test_an_instance_has_no_more_processes_than_its_limit(make_site):
    site = make_site(app={"run": "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done; exec /usr/bin/python3 -u recorder.py",
                          "processes": 64})
    assert len(site.find("sleep 600")) == 10
    site.write(app={"run": "(for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done); exec /usr/bin/python3 -u recorder.py",
                    "processes": 5})
    site.command("reload")
    wait_until(lambda: "annot fork" in app_log(site), "a failed fork in the log")
    groups = Path("/sys/fs/cgroup").rglob("terrace/test.%d/*" % site.child.pid)
    site.stop()
    assert not [group for group in groups if group.exists()]


# ---- reload and restart


def test_a_reload_with_a_wrong_file_is_refused_and_the_old_one_stays(make_site):
    site = make_site()
    site.file.write_text(site.file.read_text().replace("[web]", "[wbe]"))
    answer = site.command("reload", check=False)
    assert answer.returncode == 1 and "did you mean" in answer.stderr
    assert site.get("/").text == "recorded\n"
    assert status(site)["version"] == 1 and "wbe" in status(site)["error"]


def test_a_reload_whose_port_is_taken_changes_nothing(make_site):
    site, other = make_site(), make_site()
    site.write(web={"listen": ["127.0.0.1:%d" % site.port, "127.0.0.1:%d" % other.port]}, site={"name": "changed"})
    answer = site.command("reload", check=False)
    assert answer.returncode == 1 and "Address already in use" in answer.stderr
    assert status(site)["site"] == "test"
    assert [one["address"] for one in status(site)["listeners"]] == [
        "127.0.0.1:%d" % site.port, "127.0.0.1:%d" % site.admin_port]
    assert other.get("/").text == "recorded\n"


def test_sighup_takes_new_addresses_and_drops_old_ones(make_site):
    site = make_site()
    old, spare = site.port, make_site(start=False).port
    site.write(web={"listen": ["127.0.0.1:%d" % spare]})
    site.reload()
    site.port = spare
    wait_until(lambda: site._is_serving(), "the new address")
    wait_until(lambda: not is_listening(old), "the old address closed")


def test_a_changed_app_rolls_without_a_failed_request(make_site):
    site = make_site(app={"instances": 2})
    wait_for_instances(site, 2)
    before = recorders(site)
    with Load(site.port, "/") as load:
        load.until(50)
        site.write(app={"instances": 2, "env": {"RECORDER": str(site.recorder.folder), "NEW": "1"}})
        site.command("reload")
        wait_until(lambda: len(recorders(site)) == 2 and not set(recorders(site)) & set(before), "two new instances")
        load.until(50)
    assert not load.result.failures, load.result
    assert json.loads(site.get("/about").body)["environment"]["NEW"] == "1"


def test_a_roll_whose_new_instance_fails_leaves_the_old_ones(make_site):
    site = make_site(app={"instances": 2})
    before = wait_for_instances(site, 2)
    site.write(app={"instances": 2, "run": "exit 1"})
    site.command("reload")
    site.wait_for_log("the old instances stay")
    assert [one["pid"] for one in instances(site)] == [one["pid"] for one in before]
    assert site.get("/").text == "recorded\n"
    shown = site.command("status", check=False)
    assert shown.returncode == 1
    assert "The last change of [app] failed: app-1 ended before it was healthy: exit status 1" in shown.stdout
    site.write(app={"instances": 2})
    site.command("reload")
    assert site.command("status").returncode == 0


def test_a_controller_that_is_killed_in_the_middle_of_a_restart_goes_on_with_it(make_site):
    site = make_site(app={"instances": 3})
    generations = [one["generation"] for one in wait_for_instances(site, 3)]
    with subprocess.Popen([str(site.binary), "restart", "--file", str(site.file), "app"], cwd=site.folder,
                          env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as restart:
        wait_until(lambda: max(one["generation"] for one in instances(site)) > max(generations), "the first new one")
        site.kill("terrace: controller")
        restart.wait(30)

    def replaced():
        have = status(site).get("instances", [])
        return len(have) == 3 and all(one["state"] == "up" and one["generation"] not in generations for one in have)

    wait_until(replaced, "three new instances", 30)


def test_restart_app_replaces_every_instance_without_a_failed_request(make_site):
    site = make_site(app={"instances": 2})
    wait_for_instances(site, 2)
    before = recorders(site)
    with Load(site.port, "/") as load:
        load.until(50)
        assert site.command("restart", "app").returncode == 0
        load.until(50)
    assert not load.result.failures, load.result
    assert len(recorders(site)) == 2 and not set(recorders(site)) & set(before)


def test_killing_every_instance_gives_latency_and_no_failure(make_site):
    site = make_site(app={"instances": 2})
    wait_for_instances(site, 2)
    with Load(site.port, "/") as load:
        load.until(50)
        for pid in recorders(site):
            os.kill(pid, signal.SIGKILL)
        load.until(100)
    assert not load.result.failures, load.result
    print("longest gap without any instance: %.0f ms" % (load.result.longest_gap * 1000))
