"""Several servers of one site on this machine: each with a loopback address, a folder and an
environment of its own. What they share is the site file.

    def test_something(make_servers):
        servers = make_servers("a", "b")        # founded by a, joined by b, both serve
        servers["b"].command("status")
"""

import json
import random
import socket
from pathlib import Path

import pytest
from harness import free_port, wait_until

TEXT = """
[site]
name = "test"
admin = "${{env:ADMIN}}"

[app]
run = "/usr/bin/python3 -u recorder.py"
health = "/recorder/up"
instances = 1
env = {{ RECORDER = "${{env:RECORDER}}" }}

[web]
listen = ["${{env:LISTEN}}"]

[db]
engine = "none"

[cluster]
port = {port}
{cluster}

[servers]
{servers}
"""


def without(text: str, name: str) -> str:
    """A site file that names this server no more."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(name + " = ")) + "\n"


class Servers(dict):
    """The servers by name, in the order of the file; `text` is the site file."""

    def __init__(self, names, make_site, roles=None, cluster="", user=None):
        super().__init__()
        network = "127.%d.%d" % (random.randint(1, 250), random.randint(1, 250))
        self.port = free_port()
        self.addresses = {name: "%s.%d" % (network, 10 + i) for i, name in enumerate(names)}
        entries = "\n".join("%s = { address = %s, roles = %s }"
                            % (name, json.dumps(address), json.dumps((roles or {}).get(name, ["web", "app"])))
                            for name, address in self.addresses.items())
        # Then visitors are answered once a load balancer and a web server are there.
        self.balanced = any("lb" in of_one for of_one in (roles or {}).values())
        self.text = TEXT.format(port=self.port, cluster=cluster, servers=entries)
        for name in names:
            self[name] = make_site(start=False, text="", user=user)
            site = self[name]
            site.name = name
            site.environment.update(ADMIN="127.0.0.1:%d" % site.admin_port, LISTEN="127.0.0.1:%d" % site.port,
                                    RECORDER=str(site.recorder.folder))
            site.file.unlink()

    def found(self, name: str):
        """Starts this server as the first of the site; returns when it is a member."""
        site = self[name]
        site.file.write_text(self.text)
        site.arguments = ["--server", name]
        site.start(wait=not self.balanced)
        site.wait_for_log("listening for the other servers")

    def token(self, of: str, on: str, *more: str) -> dict:
        return json.loads(self[on].command("token", of, "--json", *more).stdout)

    def join(self, name: str, token: dict, check: bool = True):
        done = self[name].command("join", token["address"], "--token", token["token"], "--json", check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, name: str):
        self[name].start(wait=not self.balanced)
        self[name].wait_for_log("listening for the other servers")

    def status(self, on: str) -> dict:
        return json.loads(self[on].command("status", "--json", check=False).stdout)

    def seen_from(self, on: str) -> dict:
        """name to what `status` on that server says of it."""
        return {one["name"]: one for one in self.status(on).get("servers", [])}

    def wait_until_all_answer(self, on: str, names=None):
        def look():
            seen = self.seen_from(on)
            return seen if all(seen.get(name, {}).get("answers") for name in names or self) else None

        return wait_until(look, "every server to answer %s" % on, 20)

    def connect(self, name: str) -> socket.socket:
        """A plain connection to its control port."""
        return socket.create_connection((self.addresses[name], self.port), timeout=10)

    def cluster(self, name: str) -> Path:
        return self[name].folder / "terrace/state/cluster"


@pytest.fixture
def make_servers(make_site):
    def make(*names, joined=True, **more) -> Servers:
        servers = Servers(names, make_site, **more)
        servers.found(names[0])
        for name in names[1:] if joined else ():
            servers.join(name, servers.token(name, names[0]))
            servers.start(name)
        if joined:
            servers.wait_until_all_answer(names[0])
        return servers

    return make
