"""What the servers share, in a lab of four servers: three of them are voters of etcd."""

import json
import os
import time

import pytest
from harness import wait_until

pytestmark = pytest.mark.machine

SERVERS = ("web1", "web2", "web3", "web4")
VOTERS = SERVERS[:3]


def copy_of(lab, server: str) -> dict:
    """The last copy on that server's disk."""
    text = lab.shell(server, "cat /var/lib/terrace/cluster/state/last-copy", check=False)
    return json.loads(text.partition(" ")[2]) if text else {}


def held_by(lab, server: str) -> tuple[str, list[str]]:
    placement = copy_of(lab, server).get("placement", {})
    return placement.get("keeper", ""), sorted(placement.get("holders", []))


def runs_etcd(lab, server: str) -> bool:
    return lab.shell(server, "pgrep -x etcd", check=False) != ""


@pytest.fixture
def four(make_lab):
    lab = make_lab(servers={name: ["web"] for name in (*SERVERS, "spare")})
    # Its place is free again, so that tokens for it can be made: each is a change.
    lab.terrace("web1", "revoke", "spare")
    lab.kill("spare")
    for server in SERVERS:
        wait_until(lambda: held_by(lab, server) == ("etcd", list(VOTERS)), "%s knows of etcd" % server, 60.0, 0.3)
    return lab


def changes(lab, server: str):
    """Something that is written into the shared state from there."""
    wait_until(lambda: lab.terrace(server, "token", "spare", check=False).returncode == 0, "a change from " + server,
               30.0, 0.3)


def test_three_voters_hold_the_state_and_show_no_port_to_clients(four):
    assert [runs_etcd(four, server) for server in SERVERS] == [True, True, True, False]
    ports = four.shell("web1", "ss -Htlnp | grep '\"etcd\"' | awk '{print $4}'").split()
    assert ports == ["10.0.0.11:7401"]
    # Neither without a certificate nor with that of a server that has no vote.
    files = "--cert /var/lib/terrace/cluster/server.crt --key /var/lib/terrace/cluster/server.key"
    for options in ("", files):
        done = four.exec("web4", "sh", "-c", "curl -sSk --max-time 5 %s https://10.0.0.11:7401/version" % options,
                         check=False)
        assert done.returncode != 0 and "etcdserver" not in done.stdout, done
    for server in SERVERS:
        changes(four, server)


@pytest.mark.soak
@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="minutes; scenarios/majority-in-turn.toml is the brief one")
def test_voters_go_in_turn_and_together_and_no_visitor_notices(four):
    with four.visitors(rate=40, addresses=[four.address(server) for server in SERVERS]) as visitors:
        for away, back in ((four.kill, four.power_on), (four.freeze, four.thaw), (cut(four), join(four))):
            for group in (("web1",), ("web2",), ("web3",), ("web2", "web3")):
                for server in group:
                    away(server)
                visitors.until(20)
                if len(group) == 1:
                    changes(four, "web4")
                for server in group:
                    back(server)
                for server in group:
                    wait_until(lambda: four.serves(server), server + " serves again", 60.0, 0.3)
                changes(four, group[0])
        visitors.until(40)
    print(visitors.result)
    # What a server was answering when its power was cut is lost with it, as long as no load balancer
    # asks another one: five power cuts, and never more than one request was under way.
    failures = visitors.result.failures
    assert {why for _, why in failures} <= {"closed without an answer"} and len(failures) <= 5, failures
    assert visitors.result.longest_gap < 3.0


def test_a_new_authority_takes_over_and_the_state_is_there_all_the_time(four):
    def fingerprint() -> set[str]:
        words = four.terrace("web1", "certificates").stdout.split()
        return {word for word in words if len(word) == 16 and set(word) <= set("0123456789abcdef")}

    before = fingerprint()
    four.terrace("web2", "certificates", "rotate")
    longest, end = 0.0, time.monotonic() + 120.0
    while fingerprint() & before - {site_id(four)} and time.monotonic() < end:
        begin = time.monotonic()
        four.terrace("web4", "token", "spare")
        longest = max(longest, time.monotonic() - begin)
    print("the longest change took %.2f s" % longest)
    assert time.monotonic() < end, four.terrace("web1", "certificates").stdout
    assert longest < 6.0  # three times what an election and a question to the next voter take
    # Etcds that were started anew once more trust the new one alone.
    for server in VOTERS:
        changes(four, server)


def site_id(lab) -> str:
    return lab.terrace("web1", "certificates").stdout.split()[1].rstrip(",")


def cut(lab):
    """Off from the other servers; visitors still reach it."""

    def away(server):
        for other in SERVERS:
            if other != server:
                lab.cut(server, other)

    return away


def join(lab):
    return lambda server: lab.heal()
