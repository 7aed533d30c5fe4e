"""The moment in which a release takes over, and the minute after it, under constant load.

What the releases of these tests answer is in /about: the folder that an instance runs in.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from client import Load
from harness import Site, descendants, wait_until

RECORDER = (Path(__file__).parent / "recorder.py").read_text()
# In place of the recorder's own answers, but for /recorder/up.
BROKEN = 'connection.sendall(plain(b"broken\\n", 500))'
CRASHES = "os._exit(3)"
# Once the test says so.
ENDS = (
    "import threading\n"
    "    def end():\n"
    "        while not os.path.exists(FOLDER + '/end'): time.sleep(0.05)\n"
    "        os._exit(3)\n"
    "    threading.Thread(target=end).start()"
)
SLOW = 'time.sleep(0.7); connection.sendall(plain(b"slow\\n"))'


def write_release(site: Site, name: str, answers: str = "", before: str = "", page: str = "") -> str:
    """A folder to deploy: the recorder, whose answers and start may be others."""
    program = RECORDER
    if answers:
        own = "def answer(connection, method, target, body, number):\n    %s\n    return False\n\n\n" % answers
        program = program.replace('if __name__ == "__main__":\n', own + 'if __name__ == "__main__":\n')
    program = program.replace("    sys.exit(main())\n", "    %s\n    sys.exit(main())\n" % (before or "pass"))
    site.write_file("%s/recorder.py" % name, program)
    site.write_file("%s/public/release.txt" % name, page or name)
    return str(site.folder / name)


def release_of(response) -> int:
    """That answered /about; 0 before the first deploy."""
    found = re.search(r"/releases/(\d+)", json.loads(response.body)["folder"])
    return int(found.group(1)) if found else 0


def status(site) -> dict:
    return json.loads(site.command("status", "--json", check=False).stdout or "{}")


def instances(site) -> list[dict]:
    return status(site).get("instances", [])


def all_up(site, count: int = 2) -> bool:
    return [one["state"] for one in instances(site)] == ["up"] * count


def deploy(site, folder: str, *, fails: bool = False) -> subprocess.CompletedProcess:
    done = site.command("deploy", folder, check=False)
    print(done.stdout, done.stderr)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr + site.log()
    return done


def start_deploy(site, folder: str) -> subprocess.Popen:
    return subprocess.Popen([str(site.binary), "deploy", "--file", str(site.file), folder], cwd=site.folder,
                            env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def serving(site) -> int:
    return release_of(site.get("/about"))


@pytest.fixture
def two_releases(make_site):
    """A site with two instances of its first release, and a bake that no test waits for."""
    site = make_site(app={"instances": 2, "bake": "0s"})
    deploy(site, write_release(site, "first"))
    wait_until(lambda: all_up(site), "the first release alone", 30)
    site.write(app={"instances": 2, "bake": "60s"})
    site.command("reload")
    return site


# ---- the switch


def test_a_deploy_and_a_rollback_under_load_fail_no_request(make_site):
    site = make_site(app={"instances": 2, "bake": "1s"})
    seen = []

    def note(response):
        seen.append(release_of(response))
        return response.status == 200

    with Load(site.port, "/about", rate=100, expect=note) as kept, \
            Load(site.port, "/about", rate=50, fresh=True) as fresh:
        for number, name in ((1, "first"), (2, "second")):
            kept.until(30)
            deploy(site, write_release(site, name))
            assert serving(site) == number
        kept.until(30)
        site.command("rollback")
        assert serving(site) == 1
        kept.until(30)
    for load in (kept, fresh):
        print(load.result)
        assert not load.result.failures, load.result
    assert {0, 1, 2} == set(seen)


def test_files_and_instances_switch_together(make_site):
    site = make_site(app={"instances": 2, "bake": "0s"}, web={"files": "public"},
                     files={"public/release.txt": "0"})
    for number in (1, 2, 3):
        folder = write_release(site, "release-%d" % number, page=str(number))
        with start_deploy(site, folder) as deploying:
            with site.connect() as connection:
                before = number - 1
                while deploying.poll() is None or before < number:
                    # On one connection, so of one core: what is newer never comes before what is older.
                    for now in (int(connection.get("/release.txt").text), release_of(connection.get("/about"))):
                        assert before <= now <= number
                        before = now
            assert deploying.returncode == 0


# ---- the bake


@pytest.mark.parametrize("answers", [BROKEN, CRASHES], ids=["answers-500", "crashes"])
def test_a_release_that_is_worse_gives_the_place_back_by_itself(two_releases, answers):
    site = two_releases
    old = [(one["name"], one["generation"]) for one in instances(site)]
    with Load(site.port, "/about", rate=100, expect=lambda response: True) as load:
        load.until(100)
        done = deploy(site, write_release(site, "bad", answers), fails=True)
        assert serving(site) == 1
        load.until(50)
    said = done.stdout + done.stderr
    broken = "5xx and broken answers are" in said and "before: 0.0 %" in said
    assert broken or (answers == CRASHES and re.search(r"app-\d ended \d+ times, last with exit status 3", said)), said
    assert not load.result.failures, load.result
    # They were there all the time.
    wait_until(lambda: [(one["name"], one["generation"]) for one in instances(site)] == old, "the old ones alone", 60)
    assert site.command("status").returncode == 0
    site.write(app={"instances": 2, "bake": "0s"})
    site.command("reload")
    deploy(site, write_release(site, "good"))
    assert serving(site) == 3


def test_a_release_that_is_much_slower_gives_the_place_back_when_the_bake_is_over(two_releases):
    site = two_releases
    site.write(app={"instances": 2, "bake": "9s"})
    site.command("reload")
    with Load(site.port, "/about", rate=60, clients=24, expect=lambda response: True) as load:
        load.until(250)
        done = deploy(site, write_release(site, "slow", SLOW), fails=True)
        assert serving(site) == 1
    assert "more than one answer of a hundred takes over" in done.stdout + done.stderr
    assert not load.result.failures, load.result


def test_a_release_that_ends_all_the_time_gives_the_place_back_though_nobody_asks(two_releases):
    site = two_releases
    with start_deploy(site, write_release(site, "fragile", before=ENDS)) as deploying:
        wait_until(lambda: [one for one in instances(site) if one["state"] == "standby"], "the bake", 30)
        (site.folder / "recorder/end").touch()
        said = deploying.communicate(timeout=50)[0].decode()
    assert deploying.returncode == 1, said
    assert re.search(r"worse than the release before: app-\d ended \d+ times, last with exit status 3", said), said
    assert serving(site) == 1


def test_a_release_that_hangs_gives_the_place_back_though_nobody_asks(two_releases):
    site = two_releases
    site.write(app={"instances": 2, "bake": "8s", "health_interval": "200ms", "health_timeout": "1s"})
    site.command("reload")
    wait_until(lambda: all_up(site), "the first release alone", 30)
    with start_deploy(site, write_release(site, "hangs")) as deploying:
        wait_until(lambda: [one for one in instances(site) if one["state"] == "standby"], "the bake", 30)
        fresh = [one["pid"] for one in instances(site) if one["state"] == "up"]
        hung = [process for one in fresh for process in descendants(one)[1:]]
        try:
            for process in hung:
                os.kill(process.pid, signal.SIGSTOP)
            said = deploying.communicate(timeout=50)[0].decode()
        finally:
            for process in hung:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
    assert deploying.returncode == 1, said
    assert "none of its instances is healthy" in said, said
    assert serving(site) == 1


def test_a_rollback_in_the_first_minute_goes_back_at_once_and_fails_no_request(two_releases):
    site = two_releases
    old = [(one["name"], one["generation"]) for one in instances(site)]
    with Load(site.port, "/about", rate=100, expect=lambda response: response.status == 200) as load:
        with start_deploy(site, write_release(site, "second")) as deploying:
            wait_until(lambda: serving(site) == 2, "the second one", 30)
            said = site.command("rollback").stdout
            assert "release 1 serves" in said and "migrates nothing" in said
            assert serving(site) == 1
            told = deploying.communicate(timeout=30)[0].decode()
        load.until(50)
    assert deploying.returncode == 1 and "release 2 failed in `bake`: it was rolled back" in told, told
    assert not load.result.failures, load.result
    wait_until(lambda: [(one["name"], one["generation"]) for one in instances(site)] == old, "the old ones alone", 60)
    known = json.loads(site.command("releases", "--json").stdout)
    assert known["current"] == 1 and known["releases"][-1]["reason"] == "it was rolled back"


def test_old_instances_that_die_on_standby_are_not_started_again(two_releases):
    site = two_releases
    with start_deploy(site, write_release(site, "second")) as deploying:
        on_standby = wait_until(lambda: [i for i in instances(site) if i["state"] == "standby"], "one on standby", 30)
        os.kill(on_standby[0]["pid"], signal.SIGKILL)
        gone = (on_standby[0]["name"], on_standby[0]["generation"])
        wait_until(lambda: gone not in [(i["name"], i["generation"]) for i in instances(site)], "it is gone")
        assert serving(site) == 2
        site.write(app={"instances": 2, "bake": "0s"})
        deploying.kill()


# ---- a controller that dies in the middle


HOLD = "touch $RECORDER/at-%s; while [ -e $RECORDER/hold-%s ]; do sleep 0.05; done"
HOLD_START = (
    "open(FOLDER + '/at-start', 'w').close()\n"
    "    while os.path.exists(FOLDER + '/hold-start'): time.sleep(0.05)"
)


@pytest.mark.parametrize("moment,serves", [("build", 1), ("migrate", 1), ("start", 1), ("bake", 2)])
def test_a_controller_that_dies_during_a_deploy_leaves_a_site_that_serves(two_releases, moment, serves):
    site = two_releases
    phases = {"build": HOLD % ("build", "build"), "migrate": HOLD % ("migrate", "migrate")}
    site.write(app={"instances": 2, "bake": "60s", **phases})
    site.command("reload")
    hold, at = site.recorder.folder / ("hold-" + moment), site.recorder.folder / ("at-" + moment)
    hold.touch()
    at.unlink(missing_ok=True)
    folder = write_release(site, "second", before=HOLD_START)
    with Load(site.port, "/about", rate=100) as load:
        with start_deploy(site, folder) as deploying:
            if moment == "bake":
                wait_until(lambda: [i["state"] for i in instances(site)].count("standby") == 2, "two on standby", 30)
            else:
                wait_until(at.exists, "the deploy at `%s`" % moment, 30)
            killed = site.kill("terrace: controller")
            print(deploying.communicate(timeout=30)[0].decode())
            assert deploying.returncode != 0
        load.until(50)
        assert serving(site) == serves
        hold.unlink()
        wait_until(lambda: all_up(site), "two instances and nothing beside them", 60)
        assert killed.pid not in [one.pid for one in site.find("terrace: controller")]
        assert serving(site) == serves
        load.until(50)
        # Nothing of it stands in the way of the next one.
        site.write(app={"instances": 2, "bake": "0s"})
        site.command("reload")
        deploy(site, write_release(site, "third"))
        assert serving(site) == 3
    assert not load.result.failures, load.result


def test_a_controller_that_dies_at_any_moment_of_a_deploy_leaves_one_release_serving(make_site):
    site = make_site(app={"instances": 2, "bake": "300ms"}, web={"files": "public"}, files={"public/release.txt": "0"})
    began = time.monotonic()
    deploy(site, write_release(site, "release-1", page="1"))
    whole = time.monotonic() - began
    seed = int(os.environ.get("SEED", random.randrange(1 << 32)))
    print("SEED=%d" % seed)
    moments = random.Random(seed)
    with Load(site.port, "/about", rate=100) as load:
        for number in range(2, 8):
            folder, before = write_release(site, "release-%d" % number, page=str(number)), serving(site)
            with start_deploy(site, folder) as deploying:
                moment = moments.uniform(0, 1.2 * whole)
                print("release %d: after %.3f s of about %.3f" % (number, moment, whole))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    deploying.wait(moment)
                site.kill("terrace: controller")
                deploying.communicate(timeout=30)
            wait_until(lambda: all_up(site), "two instances and nothing beside them", 60)
            now = serving(site)
            assert now in (before, number)
            assert int(site.get("/release.txt").text) == now
            assert json.loads(site.command("releases", "--json").stdout)["current"] == now
    assert not load.result.failures, load.result
