"""The certificates by which workers of a site's servers meet: that each worker has what holds now."""

import json
import os
import re
import signal

from harness import wait_until
from servers import make_servers

USED = re.compile(r"new credentials for the traffic between servers.*")


def used(servers, name: str) -> list[dict]:
    """What the workers of this server have said of the credentials that they were given, in order."""
    lines = [line for line in servers[name].log().splitlines() if USED.search(line)]
    return [dict(re.findall(r'(\w+)="?(\w+)"?', line)) for line in lines]


def wait_for_use(servers, name: str, holds, what: str) -> dict:
    return wait_until(lambda: (all := used(servers, name)) and holds(all[-1]) and all[-1], what, 20, 0.05)


def kill(servers, name: str, title: str):
    process = servers[name].find("terrace: " + title)[0]
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: [one for one in servers[name].find("terrace: " + title) if one.pid != process.pid],
               "another " + title)


def certificates(servers, on: str) -> dict:
    done = servers[on].command("certificates", "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def test_workers_are_told_with_which_certificates_servers_meet(make_servers):
    servers = make_servers("a", "b")
    for name in servers:
        wait_for_use(servers, name, lambda said: said["authorities"] == "1", "credentials on " + name)
