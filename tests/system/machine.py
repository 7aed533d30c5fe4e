"""A whole Debian 12 of its own, booted by systemd-nspawn: systemd is its process 1, and it has its own
network. It is a container on this kernel, not a virtual machine: a "power cut" kills all of its processes
at once, and its disk is a folder of this machine.

    with Machine() as machine:
        machine.run("dpkg -i /root/terrace.deb")

The system is made once by debootstrap from the Debian mirror of this machine and kept in build/machine.tar;
from then on nothing is downloaded.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness import ROOT, wait_until

ARCHIVE = ROOT / "build/machine.tar"
# Beside the smallest Debian with systemd: what the package depends on, and what the test site runs.
PACKAGES = ("systemd,systemd-sysv,dbus,init-system-helpers,passwd,python3,libfmt9,libbrotli1,libsqlite3-0,libzstd1,"
            "libseccomp2,libc-ares2,zlib1g,libgcc-s1,libstdc++6,iproute2,procps,curl,man-db,python3-flask,gunicorn")
BOOT_SECONDS = 90.0


def missing() -> str:
    """Why no machine can be booted here; empty when one can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("systemd-nspawn", "debootstrap", "nsenter"):
        if not shutil.which(program):
            return "there is no %s here" % program
    return ""


def make_archive():
    if ARCHIVE.exists():
        return
    folder = Path(tempfile.mkdtemp(prefix="terrace-machine-"))
    try:
        subprocess.run(["debootstrap", "--variant=minbase", "--include=" + PACKAGES, "bookworm", str(folder)],
                       check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder / "var/cache/apt", ignore_errors=True)
        ARCHIVE.parent.mkdir(exist_ok=True)
        partial = ARCHIVE.with_suffix(".partial")
        subprocess.run(["tar", "-C", str(folder), "-cf", str(partial), "."], check=True)
        partial.rename(ARCHIVE)
    finally:
        shutil.rmtree(folder)


class Machine:
    def __init__(self):
        make_archive()
        self.folder = Path(tempfile.mkdtemp(prefix="terrace-machine-"))
        self.log = self.folder / "console.log"
        self.root = self.folder / "root"
        self.root.mkdir()
        subprocess.run(["tar", "-C", str(self.root), "-xf", str(ARCHIVE)], check=True)
        self.root.chmod(0o755)
        self.container: subprocess.Popen | None = None
        self.init = 0

    def __enter__(self) -> "Machine":
        self.boot()
        return self

    def __exit__(self, *_):
        self.cut_power()
        shutil.rmtree(self.folder, ignore_errors=True)

    def boot(self):
        """Starts systemd; returns when it has started all that it wants to start."""
        with open(self.log, "ab") as log:
            self.container = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--boot", "--directory=%s" % self.root, "--register=no", "--keep-unit",
                 "--private-network", "--console=pipe", "--kill-signal=SIGRTMIN+3"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        children = Path("/proc/%d/task/%d/children" % (self.container.pid, self.container.pid))
        self.init = int(wait_until(lambda: self._init(children), "systemd in the machine", BOOT_SECONDS))
        wait_until(lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                   "the machine booted", BOOT_SECONDS, 0.2)

    def _init(self, children: Path) -> str:
        assert self.container.poll() is None, self.log.read_text(errors="replace")
        for pid in children.read_text().split():
            try:
                if Path("/proc/%s/comm" % pid).read_text().strip() == "systemd":
                    return pid
            except FileNotFoundError:
                pass  # a helper of the container that has ended between the two looks
        return ""

    def cut_power(self):
        """All of its processes are gone at once; nobody was asked."""
        if self.container is None:
            return
        if self.init:
            try:
                os.kill(self.init, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            self.container.wait(30)
        except subprocess.TimeoutExpired:
            self.container.kill()
            self.container.wait()
        self.container, self.init = None, 0

    def run(self, command: str, check: bool = True, seconds: float = 120.0) -> subprocess.CompletedProcess:
        """A command line inside, as root, in a shell."""
        answer = subprocess.run(
            ["nsenter", "--target", str(self.init), "--all", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
             "LANG=C.UTF-8", "sh", "-c", "cd /root && " + command],
            capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        if check:
            assert answer.returncode == 0, "%s: %d\n%s%s" % (command, answer.returncode, answer.stdout, answer.stderr)
        return answer

    def put(self, source: Path, path: str):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def write(self, path: str, text: str):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def start_load(self, seconds: float, port: int) -> subprocess.Popen:
        """client.Load against a port of its loopback, connections kept; prints its result."""
        code = ("import sys; sys.path.insert(0, %r)\nfrom client import Load\nimport time\n"
                "with Load(%d, '/', rate=100, resend=False) as load:\n    time.sleep(%g)\n"
                "print(load.result)\nsys.exit(1 if load.result.failures else 0)\n"
                % (str(ROOT / "tests/system"), port, seconds))
        return subprocess.Popen(["nsenter", "--target", str(self.init), "--net", "/usr/bin/python3", "-c", code],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Clock:
    """What each step of a walk took."""

    def __init__(self):
        self.began = self.last = time.monotonic()
        self.lines: list[str] = []

    def step(self, what: str):
        now = time.monotonic()
        self.lines.append("%6.1f s  %s" % (now - self.last, what))
        self.last = now

    def __str__(self):
        return "\n".join([*self.lines, "%6.1f s  in all" % (self.last - self.began)])
