"""Deploys and rollbacks over all servers of a site."""

import os
import random
import signal
import subprocess
import threading
import time

import pytest
from client import ConnectionEnded, RoundRobin
from control import ask
from harness import wait_until
from servers import Servers
from test_apply import power_off
from test_deploy import project, write_project

SECONDS = 60
SEED = int(os.environ.get("TERRACE_SEED", random.randrange(1 << 30)))


@pytest.fixture
def deployable(make_site):
    """Servers that run from their folder, version `folder`, and have joined."""

    def make(*names, app="", joined=None) -> Servers:
        servers = Servers(names, make_site)
        servers.text = servers.text.replace('run = "/usr/bin/python3 -u recorder.py"',
                                            'run = "exec /usr/bin/python3 app.py"\nbake = "0s"\n'
                                            'start_timeout = "20s"\n' + app)
        servers.text = servers.text.replace('"/recorder/up"', '"/up"').replace("[web]\n", '[web]\nfiles = "public"\n')
        for site in servers.values():
            site.ready = "/up"
            for path, content in project("folder").items():
                site.write_file(path, content)
        servers.found(names[0])
        for name in names[1:] if joined is None else joined:
            servers.join(name, servers.token(name, names[0]))
            servers.start(name)
        return servers

    return make


def deploy(servers: Servers, on: str, version: str, **more: str) -> subprocess.CompletedProcess:
    folder = write_project(servers[on], version, **more)
    return servers[on].command("deploy", str(folder), check=False)


def begin_deploy(servers: Servers, on: str, version: str, **more: str) -> subprocess.Popen:
    site = servers[on]
    folder = write_project(site, version, **more)
    return subprocess.Popen([str(site.binary), "deploy", "--file", str(site.file), str(folder)], cwd=site.folder,
                            env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def version_of(site) -> str | None:
    try:
        return site.get("/").text
    except (OSError, ConnectionEnded):
        return None


def served(site) -> dict:
    try:
        return ask(site, "served")
    except (OSError, AssertionError, ValueError):
        return {}


def assert_all_serve(servers: Servers, version: str, names=None):
    for name in names or servers:
        assert servers[name].get("/").text == version, name
        assert servers[name].get("/s.txt").text == version, name


# ---- as it should be


def test_a_release_is_built_once_and_serves_on_all_servers(deployable):
    servers = deployable("a", "b", "c", app='build = "echo x >> $HOME/built; echo made > public/made.txt"\n'
                                            'migrate = "echo x >> $HOME/migrated"\n')

    def count(what: str) -> list[int]:
        paths = [site.folder / "terrace/state/home" / what for site in servers.values()]
        return [len(path.read_text().split()) if path.exists() else 0 for path in paths]

    before = count("migrated")
    for version in ("one", "two"):
        done = deploy(servers, "b", version)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_all_serve(servers, version)
    assert [site.get("/made.txt").text for site in servers.values()] == ["made\n"] * 3
    assert count("built") == [0, 2, 0]
    assert [now - then for now, then in zip(count("migrated"), before)] == [0, 2, 0]
    done = servers["c"].command("rollback", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_all_serve(servers, "one")
    assert served(servers["a"])["release"] == 1
    done = servers["a"].command("rollback", check=False)
    assert done.returncode == 1 and "no release before" in done.stderr, done.stderr


def test_under_load_no_request_fails(deployable):
    servers = deployable("a", "b")
    assert deploy(servers, "a", "one").returncode == 0
    ports = [site.port for site in servers.values()]
    with RoundRobin(ports, "/", rate=100, clients=6) as app, RoundRobin(ports, "/s.txt", rate=40, clients=2) as files:
        app.until(20)
        done = deploy(servers, "a", "two")
        assert done.returncode == 0, done.stdout + done.stderr
        app.until(20)
        assert servers["b"].command("rollback", check=False).returncode == 0
        app.until(20)
        files.until(5)
    assert not app.result.failures, app.result
    assert not files.result.failures, files.result
    assert_all_serve(servers, "one")


def test_what_a_server_had_before_it_was_one_of_several_is_the_sites(deployable):
    servers = deployable("a", "b", joined=[])
    assert deploy(servers, "a", "one").returncode == 0
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    assert version_of(servers["b"]) == "one", "it fetched the release before it served"


# ---- what fails leaves the old one everywhere


@pytest.mark.parametrize("phase, app, more", [
    ("build", 'build = "test ! -e broken"', {"broken": "x"}),
    ("migrate", 'migrate = "test ! -e broken"', {"broken": "x"}),
    ("start", "", {}),
])
def test_a_step_that_fails_puts_back_what_was_done(deployable, phase, app, more):
    servers = deployable("a", "b", app=app + "\n")
    assert deploy(servers, "a", "one").returncode == 0
    done = deploy(servers, "a", "sick" if phase == "start" else "two", **more)
    assert done.returncode == 1 and "failed in `%s`" % phase in done.stderr, done.stdout + done.stderr
    assert "release 1 serves, as before" in done.stderr
    assert_all_serve(servers, "one")
    for site in servers.values():
        wait_until(lambda: served(site)["ready"] == [1], "its files are gone", SECONDS)
    done = deploy(servers, "b", "three")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served(servers["a"])["release"] == 3
    assert_all_serve(servers, "three")


def test_a_second_server_that_cannot_start_it_stops_the_deploy(deployable):
    servers = deployable("a", "b")
    assert deploy(servers, "a", "one").returncode == 0
    # On b alone the application finds something that it does not bear.
    trap = 'import os; os.path.exists("%s") and os._exit(3)\n' % (servers["b"].folder / "trap")
    (servers["b"].folder / "trap").touch()
    body = project("two")["app.py"].replace("import http.server, os, time", trap.replace(
        "os.path.exists", 'os.getcwd().startswith("%s") and os.path.exists' % servers["b"].folder)
        + "import http.server, time")
    done = deploy(servers, "a", "two", **{"app.py": body})
    assert done.returncode == 1 and "b: app-1 ended while it started" in done.stderr, done.stdout + done.stderr
    assert_all_serve(servers, "one")


# ---- who is away, who comes at the same time


def test_a_server_that_was_down_fetches_the_release_before_it_serves(deployable):
    servers = deployable("a", "b")
    assert deploy(servers, "a", "one").returncode == 0
    servers["b"].stop()
    done = deploy(servers, "a", "two")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = set()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            seen.add(version_of(servers["b"]))
            time.sleep(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        servers["b"].start()
        wait_until(lambda: version_of(servers["b"]) == "two", "b to serve", SECONDS)
        time.sleep(0.2)
    finally:
        stop.set()
        thread.join()
    assert seen == {None, "two"}
    assert_all_serve(servers, "two")


def test_two_deploys_at_once_one_is_told_of_the_other(deployable):
    servers = deployable("a", "b", app='build = "sleep 3"\n')
    first = begin_deploy(servers, "a", "one")
    wait_until(lambda: served(servers["a"]).get("busy"), "the first", SECONDS)
    second = deploy(servers, "b", "two")
    assert second.returncode == 1 and "led by a" in second.stderr, second.stdout + second.stderr
    refused = servers["b"].command("apply", check=False)
    first_out, _ = first.communicate(timeout=SECONDS)
    assert first.returncode == 0, first_out
    assert refused.returncode == 0, "the same file is nothing to apply"
    assert_all_serve(servers, "one")


def test_ctrl_c_calls_it_off_on_all(deployable):
    servers = deployable("a", "b", app='build = "test $(cat version) = one || sleep 50"\n')
    assert deploy(servers, "a", "one").returncode == 0
    with begin_deploy(servers, "a", "two") as command:
        wait_until(lambda: "sleep 50" in str([one.title for one in servers["a"].processes()]), "the build", SECONDS)
        command.send_signal(signal.SIGINT)
        said, _ = command.communicate(timeout=30)
    assert command.returncode == 1 and "called off" in said, said
    assert_all_serve(servers, "one")
    assert servers["b"].command("rollback", check=False).returncode == 1, "there is only one, and nothing is under way"


def test_a_machine_that_served_another_site_takes_this_ones_releases(deployable):
    servers = deployable("a", "b", joined=[])
    alone = servers["b"]
    alone.file.write_text(servers.text[:servers.text.index("[cluster]")])
    alone.start()
    assert deploy(servers, "b", "its own").returncode == 0
    assert version_of(alone) == "its own"
    alone.stop()
    alone.file.unlink()
    assert deploy(servers, "a", "one").returncode == 0
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    assert_all_serve(servers, "one")


def test_a_leader_that_dies_leaves_the_release_before_on_all(deployable):
    servers = deployable("a", "b", app='build = "sleep 2"\n')
    assert deploy(servers, "b", "one").returncode == 0
    with begin_deploy(servers, "a", "two") as command:
        wait_until(lambda: served(servers["a"]).get("busy"), "the deploy", SECONDS)
        servers["a"].kill("terrace: member", signal.SIGKILL)
        command.wait(SECONDS)
        assert command.returncode != 0
    assert_all_serve(servers, "one")
    done = wait_until(lambda: (lambda one: one if one.returncode == 0 else None)(deploy(servers, "b", "three")),
                      "another deploy", SECONDS, pace=0.5)
    assert done.returncode == 0
    assert_all_serve(servers, "three")


# ---- power


@pytest.mark.parametrize("moment", range(5))
def test_a_power_cut_leaves_one_release_on_all_servers(deployable, moment):
    chance = random.Random(SEED + moment)
    delay = chance.uniform(0, 2.5)
    print("seed %d, the power goes after %.3f s" % (SEED, delay))
    servers = deployable("a", "b")
    assert deploy(servers, "a", "one").returncode == 0
    with begin_deploy(servers, chance.choice(list(servers)), "two") as command:
        time.sleep(delay)
        power_off(servers)
        command.kill()
    for site in servers.values():
        site.start(wait=False)
    for site in servers.values():
        site.wait_until_serving(SECONDS)
    began = time.monotonic()
    wait_until(lambda: len({version_of(site) for site in servers.values()}) == 1, "one release everywhere", 30)
    print("one release after %.2f s" % (time.monotonic() - began))
    assert version_of(servers["a"]) in ("one", "two")
    wait_until(lambda: deploy(servers, "b", "three").returncode == 0, "the next deploy", SECONDS, pace=0.5)
    assert_all_serve(servers, "three")
