"""Several processes of Terrace or none behind one load balancer, with recording apps at their end, used like one Site:
what is asked goes to the load balancer, and `recorder` tells what reached any of the apps.

    chain = OwnServers()     # lb1, then web1 and web2 with an app each, by the encrypted hop
    chain = Foreign()        # a load balancer, then recording servers that Terrace does not run, by HTTP/1.1
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from client import Connection, ConnectionEnded, Response
from harness import Recorder, Site, free_port, is_listening, wait_until
from servers import Servers

HERE = Path(__file__).parent
READY_SECONDS = 30
BARRIER = "/barrier"
BARRIERS_MAX = 200  # by then round robin has come to everybody


class Recorders:
    """Several recorders as one. Processes of different servers may have the same number: `pid` has the server's too."""

    def __init__(self, recorders: list[Recorder]):
        self.all = recorders

    def requests(self) -> list[dict]:
        return [{**entry, "pid": (number, entry["pid"])}
                for number, one in enumerate(self.all) for entry in one.requests()]

    def forget(self):
        for one in self.all:
            one.forget()

    def answer(self, name: str, data: bytes) -> str:
        return [one.answer(name, data) for one in self.all][0]


@dataclass
class App:
    """A script of this folder that is to run instead of recorder.py. It is told where each of `folders` is, by a
    variable of that name; they hold these files, by name."""

    script: Path
    folders: dict[str, dict[str, bytes]]

    def place(self, folder: Path) -> dict[str, str]:
        """Puts all of it there; the variables."""
        if not (folder / self.script.name).exists():
            shutil.copy(self.script, folder)
        for name, files in self.folders.items():
            (folder / name.lower()).mkdir()
            (folder / name.lower()).chmod(0o777)
            for file, content in files.items():
                (folder / name.lower() / file).write_bytes(content)
        return {name: str(folder / name.lower()) for name in self.folders}


class Chain:
    """What both have in common. `front` is the load balancer; `sites` are all that Terrace runs."""

    front: Site
    sites: list[Site]
    recorder: Recorders

    @property
    def port(self) -> int:
        return self.front.port

    def connect(self, **options) -> Connection:
        return self.front.connect(**options)

    def get(self, target: str, *arguments, **options) -> Response:
        """One request on a connection of its own. BARRIER is asked for until every app has answered it, so that
        nothing that was sent before is still on its way to any of them."""
        response = self.front.get(target, *arguments, **options)
        for _ in range(BARRIERS_MAX if target == BARRIER else 0):
            if len(self._answered()) == len(self.recorder.all):
                break
            response = self.front.get(target, *arguments, **options)
        return response

    def exchange(self, sent: bytes, seconds: float = 10.0) -> int:
        """The status that these bytes get on a connection of their own; 0 when none comes in time."""
        with self.connect(deadline=seconds) as connection:
            try:
                connection.send(sent)
                return connection.read_head().status
            except (OSError, ConnectionEnded):
                return 0

    def _answered(self) -> set[int]:
        return {entry["pid"][0] for entry in self.recorder.requests() if entry.get("target") == BARRIER}

    def wait_until_all_answer(self):
        def look() -> bool:
            self.recorder.forget()
            return self.get(BARRIER).status == 200 and len(self._answered()) == len(self.recorder.all)

        wait_until(look, "an answer of every app", READY_SECONDS)
        self.recorder.forget()

    def malformed(self) -> list[bytes]:
        """What an App that has a folder MALFORMED has put there."""
        folders = [site.folder for site in self.sites] + getattr(self, "folders", [])
        return [file.read_bytes() for folder in folders for file in folder.glob("malformed/*")]

    def log(self) -> str:
        return "".join(site.log() for site in self.sites)

    def close(self):
        """All of them, also when one of them does not end as it should."""
        errors = []
        for site in reversed(self.sites):
            try:
                site.close()
            except AssertionError as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)


class OwnServers(Chain):
    def __init__(self, webs: tuple = ("web1", "web2"), settings: str = "", app: App | None = None):
        """settings: more of the site file, before its tables. app: instead of the recorder."""
        self.sites = []
        roles = {"lb1": ["lb"], **{name: ["web", "app"] for name in webs}}
        self.servers = Servers(tuple(roles), self._make, roles=roles)
        self.servers.text = settings + self.servers.text
        self.front = self.servers["lb1"]
        self.recorder = Recorders([self.servers[name].recorder for name in webs])
        if app:
            self._run(app)

    def _make(self, start: bool, **options) -> Site:
        self.sites.append(Site(**options))
        return self.sites[-1]

    def _run(self, app: App):
        variables = "".join(', %s = "${env:%s}"' % (name, name) for name in app.folders)
        text = self.servers.text.replace("recorder.py", app.script.name)
        self.servers.text = text.replace('"${env:RECORDER}"', '"${env:RECORDER}"' + variables)
        for site in self.sites:
            site.environment.update(app.place(site.folder))

    def start(self) -> "OwnServers":
        names = list(self.servers)
        self.servers.found(names[0])
        for name in names[1:]:
            self.servers.join(name, self.servers.token(name, names[0]))
            self.servers.start(name)
        return self


class Foreign(Chain):
    """`lb`: settings of [lb]."""

    def __init__(self, count: int = 2, lb: dict | None = None, app: App | None = None):
        self.app = app or App(HERE / "recorder.py", {})
        self.ports = [free_port() for _ in range(count)]
        named = {"backend%d" % i: {"address": "127.0.0.1:%d" % port} for i, port in enumerate(self.ports)}
        self.front = Site(app=None, db=None, servers={"main": {"address": "203.0.113.7", "roles": ["lb"]}},
                          lb={"check": "/recorder/up", "slow_start": "0s", **(lb or {})}, **{"lb.backends": named})
        self.sites = [self.front]
        self.folders = [self.front.folder / ("backend-%d" % port) for port in self.ports]
        for folder in self.folders:
            folder.mkdir()
        self.recorder = Recorders([Recorder(folder / "recorder") for folder in self.folders])
        self.children: list[subprocess.Popen] = []

    def start(self) -> "Foreign":
        for port, folder in zip(self.ports, self.folders):
            own = {"PORT": str(port), "RECORDER": str(folder / "recorder"), **self.app.place(folder)}
            command = ["/usr/bin/python3", str(self.app.script)]
            self.children.append(subprocess.Popen(command, env={**os.environ, **own}, stdout=subprocess.DEVNULL))
        for port in self.ports:
            wait_until(lambda port=port: is_listening(port), "a backend", READY_SECONDS)
        self.front.start()
        return self

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        super().close()
