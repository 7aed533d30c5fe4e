"""Processes under measurement: pinned to a core, with their CPU time and memory."""

import os
import pathlib
import signal
import socket
import subprocess
import time

STOP_SECONDS = 5


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


def start(command, core, log, folder=None, environment=None):
    """Starts `command` on `core`; its output goes to the file `log`.

    In a session of its own, since the scheduler shares a busy core out among
    sessions first (autogroups, sched(7)): Terrace's worker is in one of its own, and
    its peers must not have to share theirs with the load.
    """
    with open(log, "wb") as output:
        process = subprocess.Popen(
            pinned(core, command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    process.log = pathlib.Path(log)
    return process


def run(command, environment, folder):
    """A command that ends by itself, with what it printed."""
    environment = {**os.environ, **environment}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=30)


def stop(process):
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def family(root):
    """`root` and all its descendants, as pids."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in field 2 may hold spaces and brackets: read from the last one on.
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def runs(pid, program):
    try:
        return os.readlink(f"/proc/{pid}/exe") == str(program)
    except OSError:
        return False


def cpu_nanoseconds(pids):
    """utime + stime of all threads, from schedstat: the same figure as in
    /proc/PID/stat, in nanoseconds rather than in ticks of 10 ms."""
    return sum(busy_threads(pids).values())


def wait_until_quiet(pids, seconds=5):
    """Until they have done what was left to do, such as closing connections."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = cpu_nanoseconds(pids)
        time.sleep(0.1)
        if cpu_nanoseconds(pids) - before < 2_000_000:
            return


def busy_threads(pids, since=None):
    """thread -> CPU nanoseconds, or what it used `since` an earlier answer."""
    used = {}
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            used[task.name] = int((task / "schedstat").read_text().split()[0]) - (since or {}).get(task.name, 0)
    return used


def waited_nanoseconds(pids):
    """How long their threads were ready to run, and others had the core (schedstat, the second figure)."""
    tasks = [task for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks)


def memory_bytes(pids):
    """(RSS, PSS) of the processes together."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0]) * 1024
    return sums["Rss"], sums["Pss"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until_listening(endpoint, process, seconds=15):
    """Waits until `endpoint` ("127.0.0.1:80" or "unix:/path") takes a connection."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise failure(process, f"ended with {process.returncode}")
        try:
            connect(endpoint).close()
            return
        except OSError:
            time.sleep(0.02)
    stop(process)
    raise failure(process, f"does not listen on {endpoint}")


def failure(process, what):
    """An error that ends with what the process printed last."""
    printed = process.log.read_text(errors="replace")[-2000:]
    return RuntimeError(f"{' '.join(process.args)} {what}\n{printed}")


def connect(endpoint):
    if endpoint.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(endpoint[len("unix:") :])
        return connection
    host, port = endpoint.rsplit(":", 1)
    return socket.create_connection((host, int(port)), 1)
