"""Runs a real site: the real binary, a site.toml in a folder of its own, real sockets.

    def test_something(make_site):
        site = make_site(web={"files": "public"}, files={"public/a.txt": "hello"})
        assert site.get("/a.txt").text == "hello"

`make_site` (conftest.py) starts the site, waits until it serves, stops it at the
end and fails the test when a process or a listening port is left behind. The
site's app is recorder.py unless the test says otherwise: `site.recorder.requests()`
tells what reached it. What terrace printed is shown under a failing test.

Run with another binary: TERRACE_BIN=build/asan/terrace pytest tests/system
"""

import base64
import fcntl
import json
import os
import pwd
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from client import Connection, ConnectionEnded, Response

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("TERRACE_BIN", ROOT / "build/release/terrace")).resolve()
START_SECONDS = 20.0
STOP_SECONDS = 20.0


class Ports:
    """Ports of the loopback for tests. Below those that outgoing connections take (ip_local_port_range, from 32768) and
    those that Terrace gives to instances (program/launch.cc, from 20000), so that nobody takes one between its choice
    and its use, or while its server is down. Each is given once in this process, and while it lives in no other."""

    RANGE = range(10_000, 20_000)
    CLAIMS = Path(tempfile.gettempdir()) / "terrace-test-ports"  # byte N is locked by who has port N

    def __init__(self):
        self.given: set[int] = set()
        self.claims: int | None = None

    def take(self) -> int:
        while len(self.given) < len(self.RANGE):
            port = random.choice(self.RANGE)
            if port not in self.given and self._claim(port) and self._is_free(port):
                return port
        raise OSError("all ports for tests are given")

    def _claim(self, port: int) -> bool:
        self.given.add(port)  # whoever has it: it is not asked for again
        if self.claims is None:
            self.claims = self._open()
        try:
            fcntl.lockf(self.claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            return True
        except BlockingIOError:
            return False

    def _open(self) -> int:
        # With O_CREAT a file of another user in /tmp is not opened, even by root (fs.protected_regular, proc(5)).
        while True:
            for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_EXCL):
                try:
                    file = os.open(self.CLAIMS, flags | os.O_CLOEXEC, 0o666)
                except (FileNotFoundError, FileExistsError):
                    continue
                if flags & os.O_CREAT:
                    os.fchmod(file, 0o666)
                return file

    def _is_free(self, port: int) -> bool:
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
                return True
            except OSError:
                return False


PORTS = Ports()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that stays the caller's until this process ends."""
    return PORTS.take()


def is_listening(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, what: str, seconds: float = 10.0, pace: float = 0.01):
    """Returns the first true value of condition(); TimeoutError with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError("after %g s still not: %s" % (seconds, what))
        select.select([], [], [], pace)


# ---- site.toml from Python values


def toml_value(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join("%s = %s" % (json.dumps(k), toml_value(v)) for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(str(value))


def toml(tables: dict) -> str:
    """{"web": {"files": "public"}} as TOML; keys whose value is None are left out."""
    text = ""
    for name, table in tables.items():
        lines = ["%s = %s" % (key, toml_value(v)) for key, v in table.items() if v is not None]
        text += "[%s]\n%s\n\n" % (name, "\n".join(lines))
    return text


# ---- processes


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    uid: int
    title: str  # the command line, as `ps` shows it
    name: str  # comm


def process(pid: int) -> Process | None:
    try:
        folder = Path("/proc") / str(pid)
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        if status["State"].startswith(("Z", "X")):
            return None
        title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").strip().decode(errors="replace")
        return Process(pid, int(status["PPid"]), int(status["Uid"].split()[0]), title, status["Name"])
    except (OSError, KeyError, ValueError):
        return None


def all_processes() -> list[Process]:
    return [p for p in (process(int(name)) for name in os.listdir("/proc") if name.isdigit()) if p]


def descendants(pid: int) -> list[Process]:
    """Of that process, itself first; in the order of the tree. Sees into PID namespaces from outside."""
    children: dict[int, list[Process]] = {}
    found = []
    for one in all_processes():
        children.setdefault(one.parent, []).append(one)
        if one.pid == pid:
            found.append(one)
    for one in found:
        found.extend(children.get(one.pid, []))
    return found


def is_running(pid: int) -> bool:
    return process(pid) is not None


# ---- the application that records


class Recorder:
    """What the recording app (recorder.py) of a site was sent; and the answers it shall give."""

    def __init__(self, folder: Path):
        self.folder = folder
        for part in (folder, folder / "answers", folder / "go"):
            part.mkdir()
            part.chmod(0o777)

    def requests(self) -> list[dict]:
        """Every request since the last forget(), in order. Keys: connection, pid, method, target,
        fields (pairs), body (latin-1), raw (bytes); or raw and malformed (why) or incomplete."""
        try:
            lines = (self.folder / "requests").read_text().splitlines()
        except FileNotFoundError:
            return []
        entries = [json.loads(line) for line in lines]
        for entry in entries:
            entry["raw"] = base64.b64decode(entry["raw"])
        return entries

    def wait_for(self, count: int, seconds: float = 10.0) -> list[dict]:
        """The requests, once there are at least so many."""
        return wait_until(
            lambda: (lambda have: have if len(have) >= count else None)(self.requests()),
            "%d requests at the app" % count,
            seconds,
        )

    def forget(self):
        (self.folder / "requests").unlink(missing_ok=True)

    def answer(self, name: str, data: bytes) -> str:
        """From now on /answer/NAME is answered with exactly these bytes. Returns that path."""
        (self.folder / "answers" / name).write_bytes(data)
        return "/answer/" + name

    def go(self, name: str):
        """Lets /wait/NAME answer, or /events/N send its next event (name `event-1`, ...)."""
        (self.folder / "go" / name).touch()


# ---- the site


@dataclass
class Left:
    """What a stopped site left behind; empty when it is as it should be."""

    processes: list[Process] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def __bool__(self):
        return bool(self.processes or self.ports)


class Site:
    """A site in a folder of its own under /tmp. `port` and `admin_port` are free ones.

    tables: site, app, web, db, servers as dicts, merged over the defaults (a value
    of None takes a default key out). text: a whole site.toml instead; {port},
    {admin_port} and {folder} in it are replaced. files: path to content (str or
    bytes), written before the start. user: a user name to run terrace as (needs root).
    environment: added to ours; None takes a variable out. TERRACE_FOLDER, where
    state, sockets and logs go, is `terrace` in the site's folder.
    """

    def __init__(self, *, text: str | None = None, files: dict | None = None, user: str | None = None,
                 binary: Path = BINARY, arguments: list[str] | None = None, environment: dict | None = None,
                 ready: str = "/", **tables):
        self.folder = Path(tempfile.mkdtemp(prefix="terrace-test-"))
        self.folder.chmod(0o755)
        self.port, self.admin_port = free_port(), free_port()
        self.binary, self.arguments, self.user, self.ready = binary, arguments or [], user, ready
        own = {"TERRACE_FOLDER": str(self.folder / "terrace"), **(environment or {})}
        self.environment = {name: value for name, value in {**os.environ, **own}.items() if value is not None}
        self.recorder = Recorder(self.folder / "recorder")
        shutil.copy(Path(__file__).parent / "recorder.py", self.folder / "recorder.py")
        self.file = self.folder / "site.toml"
        self.output = self.folder / "output.log"
        self.child: subprocess.Popen | None = None
        self._seen: dict[int, Process] = {}
        for path, content in (files or {}).items():
            self.write_file(path, content)
        self.write(text=text, **tables)
        if user:
            subprocess.run(["chown", "-R", user, str(self.folder)], check=True)

    # -- its file

    def defaults(self) -> dict:
        return {
            "site": {"name": "test", "admin": "127.0.0.1:%d" % self.admin_port},
            "app": {
                "run": "/usr/bin/python3 -u recorder.py",
                "health": "/recorder/up",
                "instances": 1,
                "env": {"RECORDER": str(self.recorder.folder)},
            },
            "web": {"listen": ["127.0.0.1:%d" % self.port]},
            "db": {"engine": "none"},
        }

    def write(self, *, text: str | None = None, **tables):
        """Writes site.toml anew; with a running site, follow it with reload()."""
        if text is None:
            merged = self.defaults()
            for name, table in tables.items():
                if table is None:
                    merged.pop(name, None)
                else:
                    merged[name] = {**merged.get(name, {}), **table}
            text = toml(merged)
        else:
            for word in ("port", "admin_port", "folder"):
                text = text.replace("{%s}" % word, str(getattr(self, word)))
        self.file.write_text(text)

    def write_file(self, path: str, content: str | bytes) -> Path:
        """A file in the site's folder, with the folders above it."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    # -- its life

    def start(self, wait: bool = True) -> "Site":
        with open(self.output, "ab") as output:
            self.child = subprocess.Popen(
                [str(self.binary), "up", "--file", str(self.file), *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment,
                user=self.user,
                group=None if self.user is None else _group_of(self.user),
                extra_groups=None if self.user is None else [],
            )
        if wait:
            self.wait_until_serving()
        return self

    def wait_until_serving(self, seconds: float = START_SECONDS):
        """Until GET `ready` is answered below 500; AssertionError with the output if it ends instead."""
        end = time.monotonic() + seconds
        pidfd = os.pidfd_open(self.child.pid)
        try:
            while not self._is_serving():
                ended, _, _ = select.select([pidfd], [], [], 0.02)
                assert not ended, "terrace ended with %d:\n%s" % (self.child.wait(), self.log())
                assert time.monotonic() < end, "not serving after %g s:\n%s" % (seconds, self.log())
        finally:
            os.close(pidfd)
        self.processes()

    def _is_serving(self) -> bool:
        try:
            with self.connect(deadline=5.0) as connection:
                return connection.get(self.ready).status < 500
        except (OSError, ConnectionEnded):
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends it as systemd or Ctrl-C would; its exit status. Nothing when it does not run."""
        if self.child is None:
            return 0
        self.processes()
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            return self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError("terrace did not stop in %g s:\n%s" % (STOP_SECONDS, self.log())) from None

    def restart(self) -> "Site":
        self.stop()
        return self.start()

    def reload(self):
        """SIGHUP: takes the changed site.toml."""
        self.child.send_signal(signal.SIGHUP)

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Another terrace command on this site: command("status", "--json").stdout"""
        return subprocess.run(
            [str(self.binary), arguments[0], "--file", str(self.file), *arguments[1:]],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=30, check=check,
            user=self.user,
        )

    def close(self):
        """Stops it, kills what is left, removes the folder; AssertionError when something was left."""
        try:
            if self.child is not None:
                self.stop()
                left = self.left_behind()
                assert not left, "left behind: %s\n%s" % (left, self.log())
        finally:
            self._kill_all()
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- its processes

    def processes(self) -> list[Process]:
        """terrace and all below it, the supervisor first."""
        tree = descendants(self.child.pid) if self.child else []
        self._seen.update((one.pid, one) for one in tree)
        return tree

    def find(self, word: str) -> list[Process]:
        """Its processes whose title has that word: "supervisor", "controller", "worker", "recorder.py"."""
        return [one for one in self.processes() if word in one.title]

    def kill(self, word: str, number: int = signal.SIGKILL) -> Process:
        """Sends a signal to the first process with that word in its title."""
        found = self.find(word)
        assert found, "no process %r among %s" % (word, [one.title for one in self.processes()])
        os.kill(found[0].pid, number)
        return found[0]

    def left_behind(self, seconds: float = 5.0) -> Left:
        """What is still there so long after the end: any process ever seen or that stands in the
        site's folder, and the ports."""

        def look() -> Left:
            return Left(self._remaining(), [p for p in (self.port, self.admin_port) if is_listening(p)])

        try:
            wait_until(lambda: not look(), "nothing left behind", seconds)
        except TimeoutError:
            pass
        return look()

    def _remaining(self) -> list[Process]:
        folder = str(self.folder)
        remaining = []
        for one in all_processes():
            try:
                here = os.readlink("/proc/%d/cwd" % one.pid).startswith(folder)
            except OSError:
                here = False
            seen = self._seen.get(one.pid)
            if here or (seen is not None and seen.name == one.name) or folder in one.title:
                remaining.append(one)
        return remaining

    def _kill_all(self):
        for one in self._remaining():
            try:
                os.kill(one.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    # -- speaking with it

    @property
    def url(self) -> str:
        return "http://127.0.0.1:%d" % self.port

    def connect(self, deadline: float = 10.0) -> Connection:
        return Connection(self.port, deadline)

    def request(self, method: str, target: str, fields=(), body: bytes = b"", host: str = "localhost") -> Response:
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.request(method, target, fields, body, host)

    def get(self, target: str, fields=(), host: str = "localhost") -> Response:
        return self.request("GET", target, fields, host=host)

    def metrics(self) -> dict[str, float]:
        """/metrics of the admin address: `name{labels}` to value."""
        with Connection(self.admin_port) as connection:
            text = connection.get("/metrics", host="127.0.0.1").text
        lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def log(self) -> str:
        """All that terrace printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def wait_for_log(self, text: str, seconds: float = 10.0):
        wait_until(lambda: text in self.log(), "%r in the log:\n%s" % (text, self.log()[-2000:]), seconds)


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid
