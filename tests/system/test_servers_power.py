"""Power cuts while a server joins and while the authority is replaced: kill -9 of everything at
seeded moments, then all is switched on again. A failing seed is run by SEED=7 pytest …"""

import json
import os
import random
import signal
import subprocess
import time

import pytest
from harness import descendants, wait_until
from servers import Servers, make_servers

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else list(range(20))


def cut_power(site):
    """SIGKILL to all of its processes at once, as far as that is possible."""
    tree = descendants(site.child.pid)
    for one in tree:
        try:
            os.kill(one.pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass
    for one in tree:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    site.child.wait()
    assert not site.left_behind().processes


def certificates(servers, on: str) -> dict:
    done = servers[on].command("certificates", "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def test_a_join_that_is_cut_off_anywhere_goes_on(make_servers):
    """The new server's side at one moment, the other's at another one; the same command in the end."""
    servers = make_servers("a", "b", joined=False)
    for seed in SEEDS:
        chance = random.Random(seed)
        print("seed", seed)
        folder = servers.cluster("b")
        if folder.exists():
            for one in folder.rglob("*"):
                if one.is_file():
                    one.unlink()
            servers["a"].command("revoke", "b")
        token = servers.token("b", "a")
        joining = subprocess.Popen(
            [str(servers["b"].binary), "join", "--file", str(servers["b"].file), "--token", token["token"]],
            env=servers["b"].environment, cwd=servers["b"].folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 0.12))  # the moment is the seed's
        joining.kill()
        joining.wait()
        if chance.random() < 0.5:
            os.kill(servers["a"].find("terrace: member")[0].pid, signal.SIGKILL)
        wait_until(lambda: servers.join("b", token, check=False).returncode == 0, "b to join", 20, pace=0.1)
        assert json.loads((folder / "identity.json").read_text())["server"] == "b"
    servers.start("b")
    servers.wait_until_all_answer("a")


def test_a_rotation_that_is_cut_off_anywhere_goes_on(make_servers):
    servers = make_servers("a", "b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    generation = 1
    for seed in SEEDS:
        chance = random.Random(seed)
        print("seed", seed, "generation", generation)
        leader = chance.choice("ab")
        asked = servers[leader].command("certificates", "rotate", check=False)
        time.sleep(chance.uniform(0, 1.5))  # the moment is the seed's
        off = chance.choice([["a"], ["b"], ["a", "b"]])
        for name in off:
            cut_power(servers[name])
        for name in off:
            servers[name].start()
        if asked.returncode != 0:
            generation = certificates_when_known(servers)["generation"]
            continue
        generation += 1
        wait_until(lambda: certificates(servers, "a").get("generation") == generation and
                   certificates(servers, "a")["phase"] == "none", "generation %d" % generation, 60, pace=0.2)
    servers.wait_until_all_answer("a")
    servers.wait_until_all_answer("b")
    key = lambda name: (servers.cluster(name) / "authority.pem").read_text()  # noqa: E731
    wait_until(lambda: key("a") == key("b"), "the new key on both", 30)


def certificates_when_known(servers) -> dict:
    return wait_until(lambda: certificates(servers, "a"), "what is known of certificates", 30, pace=0.2)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_a_founding_that_is_cut_off_anywhere_goes_on(make_site, seed):
    servers = Servers(("a", "b"), make_site)
    site = servers["a"]
    site.file.write_text(servers.text)
    site.arguments = ["--server", "a"]
    site.start(wait=False)
    time.sleep(random.Random(seed).uniform(0.1, 0.6))
    cut_power(site)
    site.start()
    site.wait_for_log("listening for the other servers")
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    servers.wait_until_all_answer("a")
