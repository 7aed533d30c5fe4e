"""Labs for tests: a whole site in namespaces, brought up by `terrace lab up` with the real binary.

    def test_something(make_lab):
        lab = make_lab(servers={"web1": ["web"], "web2": ["web"]}, files={"public/a.txt": "hello"})
        with lab.visitors("/a.txt", rate=50) as visitors:
            lab.kill("web1")
            visitors.until(100)                   # a hundred more good answers
            lab.start("web1")
        assert not visitors.result.failures, visitors.result

`make_lab` (conftest.py) removes the labs of a test at its end and fails it when anything is left:
a process, a folder, an interface. Each lab has a folder of its own, so tests see no other labs.
What its machines printed is shown under a failing test. Labs need root; without it the tests skip.
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from harness import BINARY, is_running, toml, wait_until

VISITOR = (Path(__file__).parent / "visitor.py").read_text()
SOCKETS = (Path(__file__).parent / "sockets.py").read_text()
UP_SECONDS = 120.0
COMMAND_SECONDS = 60.0
DOWN_SECONDS = 60.0


def why_not() -> str:
    """Why labs cannot be made here; empty: they can."""
    if os.geteuid() != 0:
        return "a lab needs root"
    return "" if shutil.which("nft", path="/usr/sbin:/sbin") else "a lab needs nft"


@dataclass
class Visits:
    """What became of the requests of visitors."""

    sent: int = 0
    good: int = 0
    failed: int = 0
    longest_gap: float = 0.0  # seconds between two good answers
    p50: float = 0.0  # seconds from when a request was due
    p99: float = 0.0
    slowest: float = 0.0  # the longest that anybody waited
    slowest_at: float = 0.0  # when that request was due
    slow: int = 0  # requests that took over half a second
    failures: list[tuple[float, str]] = field(default_factory=list)  # when, and why; the first hundred
    by_address: dict[str, int] = field(default_factory=dict)
    by_name: dict[str, int] = field(default_factory=dict)  # good answers, by their X-Served-By

    @property
    def spread(self) -> int:
        """By how much those differ who answered most and least."""
        return max(self.by_name.values(), default=0) - min(self.by_name.values(), default=0)

    def share(self, name: str) -> float:
        return self.by_name.get(name, 0) / max(1, sum(self.by_name.values()))


class Visitors:
    """A constant load from `outside` while the body of the `with` runs: visitor.py, or sockets.py for WebSockets."""

    def __init__(self, lab: "Lab", source: str = VISITOR, **options):
        self.lab, self.source, self.options, self.result = lab, source, options, Visits()
        self._lines: list[dict] = []

    def __enter__(self) -> "Visitors":
        command = ["/usr/bin/python3", "-c", self.source, json.dumps(self.options)]
        self._process = self.lab.start("outside", *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_until(lambda: self._lines or self._process.poll() is not None, "the first visitor", COMMAND_SECONDS)
        return self

    def _read(self):
        for line in self._process.stdout:
            self._lines.append(json.loads(line))

    def __exit__(self, *_):
        if self._process.stdin.closed:
            return  # they have left already
        self._process.stdin.close()
        self._reader.join(COMMAND_SECONDS)
        assert self._process.wait(COMMAND_SECONDS) == 0 and self._lines, "the visitor ended by itself"
        self.result = Visits(**self._lines[-1])

    @property
    def now(self) -> dict:
        return self._lines[-1]

    def until(self, more: int, seconds: float = 60.0):
        """Waits until so many more requests were answered well."""
        target = self.now["good"] + more
        wait_until(lambda: self.now["good"] >= target, "%d more good answers; so far %s" % (more, self.now), seconds)

    def stay(self, seconds: float):
        """Lets them go on for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            select.select([], [], [], 0.01)


class Capture:
    """Every packet on the network of the lab while the body of the `with` runs, as `bytes`."""

    def __init__(self, lab: "Lab", what: str = ""):
        self.lab, self.what, self.bytes = lab, what, b""

    def __enter__(self) -> "Capture":
        command = ["tcpdump", "-i", "site", "-U", "--immediate-mode", "-w", "/tmp/capture.pcap", *self.what.split()]
        self._process = self.lab.start("switch", *command, stderr=subprocess.PIPE, text=True)
        line = self._process.stderr.readline()
        assert "listening" in line, line + self._process.stderr.read()
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=COMMAND_SECONDS)
        done = self.lab.exec("switch", "cat", "/tmp/capture.pcap", text=False)
        self.bytes = done.stdout


class Lab:
    """A lab in a folder of its own. `site` is a whole site.toml, or a dict of tables; `servers` maps
    names to roles, with addresses from 10.0.0.11 on; `beside` is lab.toml, likewise."""

    def __init__(self, site: str | dict | None = None, servers: dict | None = None, files: dict | None = None,
                 beside: str | dict | None = None, project: Path | None = None):
        self.folder = Path(tempfile.mkdtemp(prefix="terrace-lab-", dir="/tmp"))
        self.project = project or self.folder / "site"
        self.file = self.project / "site.toml"
        if project is None:
            self._write_project(site, servers or {"web1": ["web"]}, files or {"public/index.html": "hello\n"}, beside)
        self.name = ""
        self.said = ""
        self.keepers: set[int] = set()
        self.hosts = interfaces()

    def _write_project(self, site, servers, files, beside):
        for path, content in files.items():
            whole = self.project / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(content)
        if not isinstance(site, str):
            addresses = {name: {"address": "10.0.0.%d" % (11 + at), "roles": roles}
                         for at, (name, roles) in enumerate(servers.items())}
            tables = {"site": {"name": "site"}, "web": {"files": "public"}} | (site or {}) | {"servers": addresses}
            site = toml(tables)
        self.project.mkdir(exist_ok=True)
        self.file.write_text(site)
        if beside:
            (self.project / "lab.toml").write_text(beside if isinstance(beside, str) else toml(beside))

    # ---- terrace lab

    @property
    def environment(self) -> dict:
        return {**os.environ, "TERRACE_LAB_FOLDER": str(self.folder / "labs")}

    def run(self, *words, check: bool = True, timeout: float = COMMAND_SECONDS, **options) -> subprocess.CompletedProcess:
        """`terrace lab` with these words."""
        options = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL} | options
        if "input" in options:
            del options["stdin"]
        named = ["--lab", self.name] if self.name else []
        command = [str(BINARY), "lab", words[0], *named, *words[1:]]
        done = subprocess.run(command, env=self.environment, timeout=timeout, **options)
        if check and done.returncode != 0:
            raise AssertionError("%s: %d\n%s%s" % (" ".join(words)[:500], done.returncode, done.stdout, done.stderr))
        return done

    def up(self, *options, seconds: float = UP_SECONDS) -> "Lab":
        self.name = ""
        done = self.run("up", str(self.file), "--detach", *options, check=False, timeout=seconds)
        self.said = done.stdout + done.stderr
        assert done.returncode == 0, self.said
        self.name = re.search(r"^lab (\S+) runs$", done.stdout, re.M)[1]
        self.keepers.add(self.status()["keeper"])
        return self

    def status(self) -> dict:
        return json.loads(self.run("status", "--json").stdout)

    def state(self, machine: str) -> str:
        return next(one["state"] for one in self.status()["machines"] if one["name"] == machine)

    @property
    def port(self) -> int:
        return int(self.status()["url"].rsplit(":", 1)[1])

    def address(self, machine: str) -> str:
        return next(one["address"] for one in self.status()["machines"] if one["name"] == machine)

    def kill(self, machine: str):
        """Cuts its power."""
        self.run("kill", machine)

    def power_on(self, machine: str):
        self.run("start", machine)

    def shut_down(self, machine: str):
        self.run("stop", machine, timeout=120.0)

    def freeze(self, machine: str):
        self.run("freeze", machine)

    def thaw(self, machine: str):
        self.run("thaw", machine)

    def cut(self, one: str, other: str, one_way: bool = False):
        self.run("cut", one, other, *(["--one-way"] if one_way else []))

    def heal(self, *pair: str):
        self.run("heal", *pair)

    def link(self, machine: str, state: str):
        self.run("link", machine, state)

    # ---- within a machine

    def exec(self, machine: str, *command, check: bool = True, **options) -> subprocess.CompletedProcess:
        return self.run("exec", machine, "--", *command, check=check, **options)

    def shell(self, machine: str, script: str, check: bool = True, **options) -> str:
        """What a shell script prints there."""
        done = self.exec(machine, "sh", "-c", script, check=check, **options)
        return done.stdout

    def start(self, machine: str, *command, **options) -> subprocess.Popen:
        """The same without waiting for its end."""
        words = [str(BINARY), "lab", "exec", "--lab", self.name, machine, "--", *command]
        return subprocess.Popen(words, env=self.environment, **options)

    def terrace(self, server: str, *words, check: bool = True, **options) -> subprocess.CompletedProcess:
        """`terrace` with these words on a server; its site file is the server's."""
        return self.exec(server, "terrace", words[0], "--file", "/etc/terrace/site.toml", *words[1:], check=check,
                         **options)

    def server_status(self, server: str) -> dict | None:
        """What Terrace says of that server; None while it does not answer."""
        done = self.terrace(server, "status", "--json", check=False)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def serves(self, server: str) -> bool:
        status = self.server_status(server)
        return bool(status) and status.get("state") == "serving"

    def write(self, machine: str, path: str, text: str):
        self.exec(machine, "sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, input=text)

    def set_clock(self, server: str, shift: str):
        """Its programs that start from now on believe that it is so much later: "+1d". Empty: no more."""
        if not shift:
            self.exec(server, "rm", "-f", "/etc/ld.so.preload")
            return
        self.write(server, "/etc/faketimerc", shift + "\n")
        self.write(server, "/etc/ld.so.preload", "/usr/$LIB/faketime/libfaketimeMT.so.1\n")

    # ---- from the outside

    def get(self, url: str, *options, machine: str = "outside") -> subprocess.CompletedProcess:
        """curl(1) from the outside, or from another machine."""
        return self.exec(machine, "curl", "-sS", "--max-time", "10", *options, url, check=False)

    def visitors(self, path: str = "/", addresses: list[str] | None = None, **options) -> Visitors:
        """A constant load; `addresses` are those of the site's entries unless they are given."""
        return Visitors(self, path=path, addresses=addresses or self.entries(), **options)

    def sockets(self, path: str = "/", addresses: list[str] | None = None, **options) -> Visitors:
        """WebSockets that stay open."""
        return Visitors(self, SOCKETS, path=path, addresses=addresses or self.entries(), **options)

    def entries(self) -> list[str]:
        """Addresses where visitors come in: of the load balancers, or of all servers where there is none."""
        addresses = {one["name"]: one["address"] for one in self.status()["machines"] if one["kind"] == "server"}
        servers = tomllib.loads(self.file.read_text()).get("servers", {})
        balancers = [addresses[name] for name in addresses if "lb" in servers.get(name, {}).get("roles", [])]
        return balancers or list(addresses.values())

    def capture(self, what: str = "") -> Capture:
        return Capture(self, what)

    # ---- the end

    def log(self) -> str:
        folder = self.folder / "labs/disks"
        logs = sorted(folder.glob("*/events.log")) + sorted(folder.glob("*/machines/*/console.log"))
        return self.said + "".join("---- %s\n%s" % (one.relative_to(folder), tail(one)) for one in logs)

    def down(self):
        self.run("down", timeout=DOWN_SECONDS)
        self.name = ""

    def close(self):
        """Removes it all, and fails when anything is left."""
        try:
            self.name = ""
            self.run("down", "--all", timeout=DOWN_SECONDS)
            left = [str(one) for one in (self.folder / "labs").rglob("*") if one.is_file()]
            assert not left, "the lab left %s" % left
            wait_until(lambda: not self.processes(), "an end of the processes of the lab", DOWN_SECONDS)
            assert interfaces() == self.hosts, "the lab changed this machine's interfaces"
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[str]:
        """Every process of this lab: its keeper, and whatever sees its disks."""
        mark = str(self.folder / "labs")
        found = []
        for one in Path("/proc").glob("[0-9]*"):
            try:
                of_us = int(one.name) in self.keepers or mark in (one / "mountinfo").read_text()
                if of_us and is_running(int(one.name)):
                    found.append((one / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found


def tail(path: Path) -> str:
    return path.read_text(errors="replace")[-4000:]


def interfaces() -> str:
    """This machine's interfaces, addresses, routes and rules, as far as nobody else changes them."""
    commands = (["ip", "-o", "link", "show"], ["ip", "-o", "addr", "show"], ["ip", "route", "show", "table", "all"],
                ["ip", "rule", "show"], ["nft", "list", "ruleset"])
    said = [subprocess.run(command, capture_output=True, text=True).stdout for command in commands]
    return re.sub(r"(valid|preferred)_lft \S+", "", "\n".join(said))


def settings() -> dict[str, str]:
    """The settings of this machine's kernel for networks, and its mounts."""
    found = {"mounts": re.sub(r"^\d+ \d+ ", "", Path("/proc/self/mountinfo").read_text(), flags=re.M)}
    for file in Path("/proc/sys/net").rglob("*"):
        try:
            found[str(file)] = file.read_text() if file.is_file() else ""
        except OSError:
            continue
    return found
