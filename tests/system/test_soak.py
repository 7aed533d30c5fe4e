"""Ordinary trouble in a row: nothing fails, and nothing grows. Minutes of it in ./test full."""

import itertools
import os
import signal
import time
from pathlib import Path

import pytest
from client import Load

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
SETTLED = 0.3  # the part of the time after which nothing may grow any more
MEMORY_GROWTH_MAX = 8 << 20  # bytes; buffers and metrics of both cores come within the first part
DESCRIPTOR_GROWTH_MAX = 16


def resident_bytes(pid: int) -> int:
    return int(Path("/proc/%d/statm" % pid).read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir("/proc/%d/fd" % pid))


def kill_an_instance(site):
    instances = [one for one in site.find("recorder.py") if "sh -c" not in one.title]
    if len(instances) > 1:
        os.kill(instances[0].pid, signal.SIGKILL)


def reload(site):
    site.write(app={"instances": 2}, web={"headers": {"X-Time": str(time.time())}})
    assert site.command("reload").returncode == 0


def restart_app(site):
    assert site.command("restart", "app", check=False).returncode in (0, 1)  # 1: an instance was killed meanwhile


@pytest.mark.soak
def test_kills_reloads_and_restarts_fail_no_request_and_leak_nothing(make_site):
    site = make_site(app={"instances": 2})
    worker, controller = site.find("worker")[0].pid, site.find("controller")[0].pid
    trouble = itertools.cycle([kill_an_instance, reload, restart_app])
    watched = {}
    began = time.monotonic()
    with Load(site.port, "/bytes/5000", rate=100) as kept, Load(site.port, "/echo", rate=50, fresh=True) as fresh:
        while (passed := time.monotonic() - began) < SECONDS:
            next(trouble)(site)
            kept.until(300)
            if passed > SECONDS * SETTLED and not watched:
                watched = {pid: (resident_bytes(pid), descriptors(pid)) for pid in (worker, controller)}
    for load in (kept, fresh):
        print(load.result)
        assert not load.result.failures, load.result
    for pid, (memory, files) in watched.items():
        print("%d: %d to %d bytes, %d to %d descriptors" % (pid, memory, resident_bytes(pid), files, descriptors(pid)))
        assert resident_bytes(pid) < memory + MEMORY_GROWTH_MAX
        assert descriptors(pid) < files + DESCRIPTOR_GROWTH_MAX
