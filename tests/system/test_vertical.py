"""Instances, threads, caches and connections follow the cores and the memory that control groups leave."""

import json
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from client import Load
from harness import wait_until

SECONDS = 30.0
MIB = 1 << 20


def own_group(controller: str) -> Path | None:
    """Our group in that hierarchy of version 1."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        folder = Path("/sys/fs/cgroup") / controller / path.lstrip("/")
        if controller in names.split(",") and folder.is_dir():
            return folder
    return None


def version2_root() -> Path | None:
    root = Path("/sys/fs/cgroup")
    try:
        ready = {"cpu", "memory"} <= set((root / "cgroup.subtree_control").read_text().split())
    except OSError:
        return None
    return root if ready else None


@contextmanager
def control_groups(cores: float, memory: int):
    """The folders of groups with these limits, removed at the end."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make control groups")
    name = "terrace-test-%d" % os.getpid()
    quota = int(cores * 100_000)
    root = version2_root()
    if root is not None:
        settings = {root / name: {"cpu.max": "%d 100000" % quota, "memory.max": memory}}
    else:
        groups = {controller: own_group(controller) for controller in ("cpu", "memory")}
        if not all(groups.values()):
            pytest.skip("no control groups with cpu and memory here: %s" % groups)
        settings = {
            groups["cpu"] / name: {"cpu.cfs_period_us": 100_000, "cpu.cfs_quota_us": quota},
            groups["memory"] / name: {"memory.limit_in_bytes": memory},
        }
    made = []
    try:
        try:
            for folder, values in settings.items():
                folder.mkdir()
                made.append(folder)
                for file, value in values.items():
                    (folder / file).write_text("%s\n" % value)
        except OSError as error:
            pytest.skip("control groups cannot be made here: %s" % error)
        yield made
    finally:
        for folder in made:
            wait_until(lambda: not (folder / "cgroup.procs").read_text().strip(), "an empty group", SECONDS)
            for inner in sorted(folder.rglob("*/"), reverse=True):
                if inner.is_dir():
                    inner.rmdir()
            folder.rmdir()


def enter(folders) -> str:
    """A shell prefix that moves the command into the groups."""
    return "".join("echo $$ > %s/cgroup.procs && " % folder for folder in folders)


@pytest.mark.parametrize("cores, memory, threads, instances", [(0.5, 256 * MIB, 1, 1), (2, 512 * MIB, 2, 2)])
def test_what_runs_follows_the_limits_of_its_control_group(make_site, tmp_path, cores, memory, threads, instances):
    threads = min(threads, len(os.sched_getaffinity(0)))
    instances = min(instances, threads)
    with control_groups(cores, memory) as folders:
        site = make_site(start=False, app={"instances": None}, files={"public/a.txt": "a"}, web={"files": "public"})
        outside, within = site.binary, tmp_path / "terrace"
        within.write_text("#!/bin/sh\n%sexec %s \"$@\"\n" % (enter(folders), site.binary))
        within.chmod(0o755)
        site.binary = within
        derived = json.loads(site.command("check", "--json").stdout)["derived"]
        assert derived["worker threads"] == "%d, one per core" % threads
        assert derived["memory"].startswith("%d MiB, by the cgroup" % (memory // MIB))
        if cores < len(os.sched_getaffinity(0)):
            assert "by the CPU quota of the cgroup" in derived["cores"]
        assert derived["app.instances"].startswith("%d, " % instances)
        assert derived["web.connections_max"] == "%d, by memory" % (memory // (64 << 10))
        try:
            # Half a core of a machine that has other work: what only looks at the site takes nothing of that.
            site.start(wait=False).wait_until_serving(3 * SECONDS)
            site.binary = outside
            look_at_what_runs(site, threads, instances)
        finally:
            site.stop()


def look_at_what_runs(site, threads: int, instances: int):
    running = lambda: json.loads(site.command("status", "--json", check=False).stdout)["instances"]  # noqa: E731
    wait_until(lambda: [one["state"] for one in running()] == ["up"] * instances, "its instances", SECONDS, 0.1)
    # The main thread, one per core, and those that read files for a core.
    worker = "/proc/%d/task" % site.find("worker")[0].pid
    assert 1 + threads <= len(os.listdir(worker)) <= 1 + 3 * threads
    with Load(site.port, "/a.txt", rate=50) as load:
        load.until(50)
    assert not load.result.failures, load.result


def test_keys_override_what_is_derived(make_site):
    site = make_site(start=False, app={"instances": 3}, web={"connections_max": 77})
    derived = json.loads(site.command("check", "--json").stdout)["derived"]
    assert derived["app.instances"] == "3" and derived["web.connections_max"] == "77"
