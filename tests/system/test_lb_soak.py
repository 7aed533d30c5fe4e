"""Ordinary trouble behind a load balancer, in turn and without end: visitors notice nothing, and neither memory nor
descriptors grow. Seconds of it in every ./test, an hour in ./test full.
"""

import itertools
import json
import os
import signal
import time

import pytest
from chain import OwnServers
from client import Load
from harness import wait_until
from test_soak import DESCRIPTOR_GROWTH_MAX, MEMORY_GROWTH_MAX, SETTLED, descriptors, resident_bytes

SECONDS = float(os.environ.get("LB_SOAK_SECONDS", "20"))
SETTINGS = '[lb]\ncheck_interval = "300ms"\nslow_start = "1s"\nclient_rate = %d\n'
TURN_SECONDS = 60


@pytest.fixture
def chain(request):
    made = OwnServers(settings=SETTINGS % 5000)
    request.node.sites = made.sites
    try:
        made.start()
        yield made
    finally:
        made.close()


def all_are_up(chain) -> bool:
    answer = chain.front.command("status", "--json", check=False).stdout
    backends = json.loads(answer)["backends"] if answer.startswith("{") else []
    return bool(backends) and {one["state"] for one in backends} == {"up"}


def kill_an_app(chain):
    os.kill(chain.servers["web1"].find("recorder.py")[-1].pid, signal.SIGKILL)


def kill_a_worker(chain):
    chain.servers["web2"].kill("worker")


def drain(chain):
    assert chain.front.command("drain", "web1").returncode == 0
    assert chain.front.command("undrain", "web1").returncode == 0


def restart_app(chain):
    chain.front.command("restart", "app", check=False)  # an instance may be ending by itself


class Apply:
    """A limit that no visitor reaches, another one each time."""

    def __init__(self):
        self.limits = itertools.cycle(range(5001, 5100))

    def __call__(self, chain):
        new = chain.front.folder / "new.toml"
        new.write_text(chain.servers.text.replace(SETTINGS % 5000, SETTINGS % next(self.limits)))
        done = chain.front.command("apply", str(new), check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def kept_processes(chain) -> dict[int, str]:
    """Those that no trouble ends, with a name for a person: all but web2's worker."""
    kept = [(name, word) for name in ("lb1", "web1") for word in ("worker", "controller", "member")]
    kept += [("web2", "controller"), ("web2", "member")]
    return {chain.servers[name].find(word)[0].pid: "%s's %s" % (name, word) for name, word in kept}


@pytest.mark.soak
def test_trouble_behind_a_load_balancer_fails_no_request_and_leaks_nothing(chain):
    wait_until(lambda: all_are_up(chain), "both web servers are up", TURN_SECONDS)
    trouble = itertools.cycle([kill_an_app, drain, kill_a_worker, Apply(), restart_app])
    names, before = kept_processes(chain), {}
    began = time.monotonic()
    with Load(chain.port, "/bytes/5000", rate=100) as kept, Load(chain.port, "/bytes/9", rate=50, fresh=True) as fresh:
        while (passed := time.monotonic() - began) < SECONDS:
            next(trouble)(chain)
            kept.until(300, TURN_SECONDS)
            wait_until(lambda: all_are_up(chain), "both web servers are up again", TURN_SECONDS)
            chain.recorder.forget()
            if passed > SECONDS * SETTLED and not before:
                before = {pid: (resident_bytes(pid), descriptors(pid)) for pid in names}
    for load in (kept, fresh):
        print(load.result)
        assert not load.result.failures, load.result
    for pid, (memory, files) in before.items():
        after = resident_bytes(pid), descriptors(pid)
        print("%s: %d to %d bytes, %d to %d descriptors" % (names[pid], memory, after[0], files, after[1]))
        assert after[0] < memory + MEMORY_GROWTH_MAX, names[pid]
        assert after[1] < files + DESCRIPTOR_GROWTH_MAX, names[pid]
