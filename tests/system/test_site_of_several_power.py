"""Power cuts of all servers of a site in a lab, at seeded moments: afterwards all are back and of one version.

A failing moment is run again by TERRACE_SEED=…; the soak takes many more of them.
"""

import json
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import wait_until
from lab import Lab, why_not
from test_site_of_several import (all_answer, forget, log_of, revoke, token, wait_for_etcd, wait_until_all_serve)

pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

THREE = {"web1": ["web"], "web2": ["web"], "web3": ["web"]}
SEED = int(os.environ.get("TERRACE_SEED", random.randrange(1 << 30)))
SOAK = int(float(os.environ.get("SOAK_SECONDS", "0")))
TIMES = 20 if SOAK else 3
BACK_SECONDS = 10.0  # that the servers may take to be of one version


def at_once(lab: Lab, act, names):
    """One that fails is the failure of the test: a power cut that was none shows nothing."""
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(lambda name: act(lab, name), names))


def power_cut(lab: Lab, names):
    at_once(lab, Lab.kill, names)
    at_once(lab, Lab.power_on, names)


def cut_during(lab: Lab, on: str, words: list[str], after: float, names):
    """Runs the command on that server; so long after its start all servers lose their power, and get it again."""
    command = lab.start(on, *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(after)  # the moment is the seed's
    power_cut(lab, names)
    command.wait(30.0)


def moments(of: str, longest: float):
    """So many seconds after the start, and a chance for what else is to be chosen."""
    print("seed", SEED)
    for at in range(TIMES):
        chance = random.Random("%d %s %d" % (SEED, of, at))
        yield at + 1, chance.uniform(0, longest), chance


def answers(lab: Lab, names) -> list[str]:
    """What each server answers visitors: the header of its site file and the file of its release."""
    script = "for name in %s; do curl -sS -i --max-time 2 http://$name/v.txt 2>&1 | " \
        "tr -d '\\r' | grep -iE '^x-site|^v|^HTTP/1.1 [345]' | sort -r | tr '\\n' ' '; echo; done" % " ".join(names)
    return lab.shell("outside", script).splitlines()


def assert_one_version(lab: Lab, names, what: str):
    began = time.monotonic()
    seen: list[str] = []

    def of_one() -> bool:
        seen[:] = answers(lab, names)
        return len(set(seen)) == 1 and "x-site" in seen[0].lower() and "v" in seen[0]

    try:
        wait_until(of_one, "one version", 3 * BACK_SECONDS, 0.05)
    except TimeoutError:
        raise AssertionError("after %s the servers answer %s" % (what, seen)) from None
    took = time.monotonic() - began
    print("%s: all of one version %.2f s after they were switched on: %s" % (what, took, seen[0]))
    assert took <= BACK_SECONDS, what


SITE = """
[site]
name = "shop"
[web]
files = "public"
headers = { "X-Site" = "1" }
[servers]
""" + "".join('web%d = { address = "10.0.0.1%d", roles = ["web"] }\n' % (at, at) for at in (1, 2, 3))


@pytest.mark.soak
def test_power_cuts_leave_one_version_on_all_servers(make_lab):
    lab = make_lab(site=SITE, files={"public/v.txt": "v1\n"})
    wait_for_etcd(lab)
    cut_applies(lab)
    cut_deploys(lab)
    cut_rotations(lab)


def cut_applies(site: Lab):
    for number, after, chance in moments("apply", 0.5):
        on = chance.choice(list(THREE))
        site.write(on, "/root/new.toml", SITE.replace('"1"', '"%d"' % (number + 1)))
        cut_during(site, on, ["terrace", "apply", "--file", "/etc/terrace/site.toml", "/root/new.toml"], after, THREE)
        assert_one_version(site, THREE, "apply on %s, cut after %.3f s" % (on, after))
    files = {site.exec(name, "cat", "/etc/terrace/site.toml").stdout for name in THREE}
    assert len(files) == 1
    wait_until_all_serve(site, THREE)


def cut_deploys(site: Lab):
    for number, after, chance in moments("deploy", 2.0):
        on = chance.choice(list(THREE))
        site.write(on, "/root/site/public/v.txt", "v%d\n" % (number + 1))
        cut_during(site, on, ["terrace", "deploy", "--file", "/etc/terrace/site.toml", "/root/site"], after, THREE)
        assert_one_version(site, THREE, "deploy on %s, cut after %.3f s" % (on, after))
    wait_until_all_serve(site, THREE)


def certificates(lab: Lab, on: str) -> dict:
    done = lab.exec(on, "terrace", "certificates", "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def cut_rotations(site: Lab):
    for _, after, chance in moments("rotate", 1.5):
        on = chance.choice(list(THREE))
        cut_during(site, on, ["terrace", "certificates", "rotate"], after, THREE)
        assert_one_version(site, THREE, "rotation on %s, cut after %.3f s" % (on, after))
        began = time.monotonic()
        wait_until_all_serve(site, THREE)
        wait_until(lambda: is_settled(certificates(site, "web1")), "the end of the rotation", 60.0, 0.2)
        print("generation %d, done after %.2f s" % (certificates(site, "web1")["generation"],
                                                    time.monotonic() - began))


def is_settled(said: dict) -> bool:
    """No rotation is under way, and every server trusts the one authority that signed for it."""
    return said.get("phase") == "none" and len(said["authorities"]) == 1 and all(
        one["trusts"] == said["authorities"] and one["signer"] in said["authorities"] for one in said["servers"])


@pytest.mark.soak
def test_power_cuts_during_a_join_and_no_token_is_good_for_two(make_lab):
    lab = make_lab(servers=THREE)
    names = ["web1", "web2"]
    for name in ("web2", "web3"):
        revoke(lab, name, "web1")
        forget(lab, name)
    for _, after, chance in moments("join", 0.2):
        made = token(lab, "web2", "web1")
        words = ["terrace", "join", made["address"], "--token", made["token"]]
        cut_during(lab, "web2", words, after, chance.choice([["web1"], ["web2"], names]))
        wait_until(lambda: lab.exec("web2", *words, check=False).returncode == 0, "web2 to join", 30.0, 0.1)
        again = lab.exec("web3", *words, check=False)
        assert again.returncode == 1 and "used by another server" in again.stderr, again.stdout + again.stderr
        power_cut(lab, ["web2"])  # and it serves from its next boot on
        wait_until(lambda: all_answer(lab, "web1", names), "web2 to answer", 30.0, 0.1)
        revoke(lab, "web2", "web1")
        forget(lab, "web2")
    assert log_of(lab, "web1").count("refused a server that wants to join") >= TIMES
