"""A site of several servers in a lab: what must hold when servers come, go and lose each other."""

import base64
import json
import os
import time

import pytest
from harness import wait_until
from intruder import Certificates, probe
from lab import Lab, why_not

pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

THREE = {"web1": ["web"], "web2": ["web"], "web3": ["web"]}
FOUR = THREE | {"web4": ["web"]}
CLUSTER = "/var/lib/terrace/cluster"


# ---- what a person does


def token(lab: Lab, of: str, on: str, check: bool = True) -> dict:
    done = lab.exec(on, "terrace", "token", of, "--json", check=check)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def join(lab: Lab, server: str, on: str):
    """With a token of `on`; then it is switched off and on, and serves."""
    made = token(lab, server, on)
    lab.exec(server, "terrace", "join", made["address"], "--token", made["token"])
    lab.kill(server)
    lab.power_on(server)


def forget(lab: Lab, server: str):
    """Makes it a machine on which Terrace is installed, and nothing else is."""
    lab.shell(server, "pid=$(cat /run/terrace/terrace.pid); rm /etc/terrace/site.toml; kill $pid; "
              "while kill -0 $pid 2> /dev/null; do sleep 0.05; done; rm -rf /var/lib/terrace/*")
    wait_until(lambda: not lab.shell(server, "ls /run/terrace/control.sock 2>/dev/null; true"), "its end", 20.0)


def revoke(lab: Lab, server: str, on: str):
    lab.exec(on, "terrace", "revoke", server)


def servers_seen(lab: Lab, on: str) -> dict:
    """name to what `terrace status` on that server says of it."""
    status = lab.server_status(on) or {}
    return {one["name"]: one for one in status.get("servers", [])}


def all_answer(lab: Lab, on: str, names) -> bool:
    seen = servers_seen(lab, on)
    return all(seen.get(name, {}).get("answers") for name in names)


def copy_on(lab: Lab, server: str) -> dict:
    """The copy of the shared state on the disk of that server."""
    done = lab.exec(server, "cat", CLUSTER + "/state/last-copy", check=False)
    return json.loads(done.stdout.split(" ", 1)[1]) if done.returncode == 0 else {}


def entries(copy: dict) -> dict[str, str]:
    return {one["key"]: base64.b64decode(one["value"]).decode() for one in copy.get("begin", {}).get("entries", [])}


def wait_for_etcd(lab: Lab, voters=("web1", "web2", "web3"), seconds: float = 40.0):
    """Until all of them know that these three hold what the servers share."""
    def held() -> bool:
        placements = [copy_on(lab, server).get("placement", {}) for server in voters]
        return all(one.get("keeper") == "etcd" and sorted(one["holders"]) == sorted(voters) for one in placements)

    wait_until(held, "etcd on three servers", seconds, 0.1)


def all_serve(lab: Lab, on: str, names) -> bool:
    seen = servers_seen(lab, on)
    controllers = [(seen.get(name, {}).get("status") or {}).get("controller") or {} for name in names]
    return all(one.get("state") == "serving" for one in controllers)


def wait_until_all_serve(lab: Lab, names, seconds: float = 30.0):
    wait_until(lambda: all_serve(lab, next(iter(names)), names), "every server to serve", seconds, 0.1)


def log_of(lab: Lab, server: str) -> str:
    return lab.exec(server, "cat", "/var/log/terrace/terrace.log", check=False).stdout


def wait_for_line(lab: Lab, server: str, words: list[str], since: int = 0, seconds: float = 10.0) -> str:
    """A line of its log, from that byte on, that has all of these words."""
    def look():
        lines = log_of(lab, server)[since:].splitlines()
        return next((line for line in lines if all(word in line for word in words)), None)

    return wait_until(look, "a line with %s in the log of %s" % (words, server), seconds, 0.05)


# ---- one server becomes several


def test_one_server_becomes_two_and_visitors_do_not_notice(make_lab):
    lab = make_lab(servers={"web1": ["web"]}, beside={"machines.web2": {"address": "10.0.0.12", "terrace": True}})
    text = lab.exec("web1", "cat", "/etc/terrace/site.toml").stdout
    with lab.visitors(rate=40) as visitors:
        visitors.until(20)
        lab.write("web1", "/etc/terrace/site.toml", text + '\nweb2 = { address = "10.0.0.12", roles = ["web"] }\n')
        lab.terrace("web1", "reload")
        wait_for_line(lab, "web1", ["listening for the other servers"])
        join(lab, "web2", "web1")
        wait_until_all_serve(lab, ["web1", "web2"])
        visitors.until(20)
    assert not visitors.result.failures, visitors.result


def test_a_new_server_joins_and_serves_and_visitors_do_not_notice(make_lab):
    lab = make_lab(servers={"web1": ["web"], "web2": ["web"]},
                   beside={"machines.web3": {"address": "10.0.0.13", "terrace": True}})
    text = lab.exec("web2", "cat", "/etc/terrace/site.toml").stdout
    lab.write("web2", "/root/new.toml", text + '\nweb3 = { address = "10.0.0.13", roles = ["web"] }\n')
    with lab.visitors(rate=40) as visitors:
        visitors.until(20)
        said = lab.exec("web2", "terrace", "apply", "/root/new.toml", "--file", "/etc/terrace/site.toml").stdout
        assert "`web3` joins" in said, said
        join(lab, "web3", "web2")
        wait_until_all_serve(lab, THREE)
        wait_until(lambda: lab.get("http://web3/").stdout == "hello\n", "the release on web3", 20.0)
        with lab.visitors(rate=20, addresses=["10.0.0.13"]) as new:
            new.until(20)
        visitors.until(20)
    assert not visitors.result.failures and not new.result.failures, (visitors.result, new.result)


def test_a_role_moves_to_another_server_and_visitors_do_not_notice(make_lab):
    """Its certificate names a server's roles: both get new ones."""
    def roles_of(server: str) -> set[str]:
        text = lab.shell(server, "openssl x509 -noout -subject -in %s/server.crt" % CLUSTER)
        return {word.partition("=")[2].strip(" ,") for word in text.replace(" = ", "=").split() if "OU=" in word}

    lab = make_lab(servers={"web1": ["web", "app"], "web2": ["web"]})
    text = lab.exec("web1", "cat", "/etc/terrace/site.toml").stdout
    moved = text.replace('["web", "app"]', "[]").replace('["web"]', '["web", "app"]').replace("[]", '["web"]')
    assert moved.count('"app"') == 1
    lab.write("web2", "/root/new.toml", moved)
    assert (roles_of("web1"), roles_of("web2")) == ({"web", "app"}, {"web"})
    with lab.visitors(rate=40) as visitors:
        visitors.until(20)
        said = lab.exec("web2", "terrace", "apply", "/root/new.toml", "--file", "/etc/terrace/site.toml").stdout
        assert "`web1` gives the role `app` up" in said and "`web2` takes the role `app`" in said, said
        wait_until(lambda: (roles_of("web1"), roles_of("web2")) == ({"web"}, {"web", "app"}), "other certificates", 20)
        visitors.until(60)
    assert not visitors.result.failures, visitors.result


# ---- who is refused

REFUSED = {
    "no certificate": ("no certificate was shown", "certificate"),
    "foreign": ("another authority", "unknown authority"),
    "self-signed": ("signed by itself", "unknown authority"),
    "expired": ("expired", "expired"),
    "another site": ("of another site", ""),
}


def ports_of(lab: Lab, server: str) -> set[int]:
    """That listen for more than the server itself."""
    lines = lab.shell(server, "ss -Hltn").splitlines()
    heard = [line.split()[3].rsplit(":", 1) for line in lines]
    return {int(port) for address, port in heard if not address.startswith(("127.", "[::1]"))}


def test_nobody_but_servers_of_the_site_gets_an_answer_on_any_port(make_lab):
    lab = make_lab(servers=FOUR)
    wait_for_etcd(lab)
    certificates = Certificates(lab)
    refuse_all_strangers(lab, certificates)
    refuse_traffic(lab, certificates)
    refuse_revoked(lab, certificates)


def refuse_all_strangers(lab: Lab, certificates: Certificates):
    for server in THREE:
        assert ports_of(lab, server) == {80, 7400, 7401}
    assert ports_of(lab, "web4") == {80, 7400}
    for server in ("web1", "web4"):
        refuse_strangers(lab, server, 7400, certificates, 0)
    refuse_strangers(lab, "web2", 7401, certificates, 1)
    # A server that is no voter has no business with etcd, and none with another's secrets.
    since = len(log_of(lab, "web2"))
    assert not probe(lab, "web4", "web2", 7401, **certificates.of("web4"))["answer"]
    wait_for_line(lab, "web2", ["etcd", "10.0.0.14"], since)
    said = probe(lab, "web4", "web2", 7400, request="secrets", **certificates.of("web4"))
    assert '"ok":false' in said["answer"] and "role" in said["answer"], said
    line = wait_for_line(lab, "web2", ["refused a request", "who=web4", "from=10.0.0.14"], since)
    assert "`secrets`" in line and "role" in line, line


def refuse_strangers(lab: Lab, server: str, port: int, certificates: Certificates, which: int):
    for kind, reasons in REFUSED.items():
        if not reasons[which]:
            continue
        since = len(log_of(lab, server))
        said = probe(lab, "outside", server, port, request="status", **certificates.made[kind])
        # Who has none may ask to join, and nothing else.
        assert not said["answer"] or '"ok":false' in said["answer"], (kind, said)
        line = wait_for_line(lab, server, ["198.18.0.", reasons[which]], since)
        print("%d  %-15s %s" % (port, kind, line[:240]))
    since = len(log_of(lab, server))
    said = probe(lab, "outside", server, port, plain=True)["answer"]
    assert len(said) <= 7 or said.startswith("HTTP/1.0 400"), said  # an alert; or what etcd says of TLS
    line = wait_for_line(lab, server, ["198.18.0.", "TLS"], since)
    print("%d  %-15s %s" % (port, "plaintext", line[:240]))
    # The control: one that the authority has signed is let in.
    if port == 7400:
        good = probe(lab, "outside", server, port, request="status", **certificates.made["good"])
        assert '"ok":true' in good["answer"], good
    else:
        good = probe(lab, "web1", server, port, **certificates.of("web1"))
        assert good["answer"].startswith("HTTP/1.1"), good


def refuse_traffic(lab: Lab, certificates: Certificates):
    """Whoever has taken a worker over has a certificate that is of no use there."""
    stolen = certificates.of_traffic("web1")
    since = len(log_of(lab, "web2"))
    assert not probe(lab, "web1", "web2", 7400, request="status", **stolen)["answer"]
    wait_for_line(lab, "web2", ["refused at the control port", "from=10.0.0.11", "not for this use"], since)
    since = len(log_of(lab, "web2"))
    assert not probe(lab, "web1", "web2", 7401, **stolen)["answer"]
    wait_for_line(lab, "web2", ["etcd", "10.0.0.11"], since)


def refuse_revoked(lab: Lab, certificates: Certificates):
    """Within a second, on every port."""
    stolen = certificates.of("web3")
    for port in (7400, 7401):
        assert probe(lab, "web3", "web2", port, request="status", **stolen)["answer"]
    since = len(log_of(lab, "web2"))
    revoke(lab, "web3", "web1")
    time.sleep(1.0)  # the promise
    said = probe(lab, "web3", "web2", 7400, request="status", **stolen)
    assert not said["answer"], said
    wait_for_line(lab, "web2", ["refused at the control port", "from=10.0.0.13", "revoked"], since)
    assert not probe(lab, "web3", "web2", 7401, **stolen)["answer"]
    wait_for_line(lab, "web2", ["etcd", "revoked"], since)
    # Nothing that was open is left, and a voter takes its place.
    wait_until(lambda: not lab.shell("web2", "ss -Htn dst 10.0.0.13 or src 10.0.0.13").strip(), "no connection", 10.0)
    wait_for_etcd(lab, ("web1", "web2", "web4"))
    assert token(lab, "web3", "web4")["server"] == "web3"


# ---- what is seen on the network


def test_nothing_of_what_servers_tell_each_other_can_be_read_on_the_network(make_lab):
    planted = {"a comment of the site file": "planted-in-the-site-file", "a secret": "planted-secret-value",
               "a file of the release": "planted-in-the-release",
               "a key of the shared state": "servers/web2", "another one": "history/", "a third": "voters"}
    site = """
# planted-in-the-site-file
[site]
name = "shop"
[web]
files = "public"
[servers]
""" + "".join('web%d = { address = "10.0.0.1%d", roles = ["web"] }\n' % (at, at) for at in (1, 2, 3))
    lab = make_lab(site=site, up=False)
    lab.up("--bare")
    with lab.capture("tcp port 80 or port 7400 or port 7401") as capture:
        wait_for_etcd(lab)
        revoke(lab, "web3", "web1")
        made = token(lab, "web3", "web2")
        forget(lab, "web3")
        lab.exec("web3", "terrace", "join", made["address"], "--token", made["token"])
        lab.exec("web2", "terrace", "secret", "set", "PLANTED", input=planted["a secret"], check=False)
        lab.kill("web3")
        lab.power_on("web3")
        wait_until_all_serve(lab, THREE)
        lab.terrace("web2", "logs", "--terrace", check=False)
        lab.write("web1", "/root/site/public/planted.txt", planted["a file of the release"])
        lab.shell("web1", "sed 's/shop/shop2/' /etc/terrace/site.toml > /root/new.toml")
        lab.terrace("web1", "apply", "/root/new.toml")
        lab.terrace("web1", "deploy", "/root/site")
        assert lab.shell("web3", "cat /var/lib/terrace/releases/*/public/planted.txt") == planted["a file of the release"]
        # The control: what is not encrypted is found.
        assert lab.get("http://web1/", "-H", "X-Planted: seen-in-the-clear").returncode == 0
    assert b"seen-in-the-clear" in capture.bytes and len(capture.bytes) > 20_000
    planted["the token"] = made["token"][10:60]
    for what, text in planted.items():
        assert text.encode() not in capture.bytes, "%s was on the network" % what


# ---- the servers that hold what is shared


def keys_of_tokens(lab: Lab, on: str) -> bool:
    """The shared state takes a write, asked for on that server."""
    return bool(token(lab, "web4", on, check=False))


def wait_for_state(lab: Lab, on, seconds: float = 20.0):
    for server in on:
        wait_until(lambda: keys_of_tokens(lab, server), "a token on " + server, seconds, 0.1)


def cut_off(lab: Lab, server: str):
    """From all other servers; visitors reach it."""
    for other in FOUR:
        if other != server:
            lab.cut(server, other)


FAULTS = {
    "killed": (Lab.kill, Lab.power_on),
    "frozen": (Lab.freeze, Lab.thaw),
    "cut off": (cut_off, lambda lab, _: lab.heal()),
}


@pytest.mark.parametrize("fault", FAULTS if os.environ.get("SOAK_SECONDS") else ["killed"])
@pytest.mark.soak
def test_visitors_do_not_notice_what_happens_to_those_who_hold_the_state(make_lab, fault):
    lab = make_lab(servers=FOUR)
    wait_for_etcd(lab)
    revoke(lab, "web4", "web1")  # so that a token for it can be asked for; it serves on
    breaks, mends = FAULTS[fault]
    with lab.visitors(rate=30, retry="idempotent") as visitors:
        for server in THREE:
            others = [other for other in THREE if other != server]
            breaks(lab, server)
            began = time.monotonic()
            wait_for_state(lab, others)
            print("%s %s: a token after %.1f s" % (server, fault, time.monotonic() - began))
            mends(lab, server)
            began = time.monotonic()
            wait_for_state(lab, THREE)
            print("%s back: a token everywhere after %.1f s" % (server, time.monotonic() - began))
        for server in THREE:
            breaks(lab, server)
        visitors.stay(1.0)
        for server in THREE:
            mends(lab, server)
        began = time.monotonic()
        wait_for_state(lab, THREE)
        print("all %s and back: a token after %.1f s" % (fault, time.monotonic() - began))
        visitors.until(20)
    print(visitors.result)
    assert not visitors.result.failures, visitors.result


# ---- what a person sees

STATUS_SECONDS = 1.0  # docs/servers.md


def test_status_waits_a_second_for_servers_that_are_gone(make_lab):
    lab = make_lab(servers=FOUR)
    for fault, (breaks, mends) in FAULTS.items():
        wait_until_all_serve(lab, FOUR)
        for server in ("web2", "web3"):
            breaks(lab, server)
        began = time.monotonic()
        shown = lab.terrace("web1", "status", check=False)
        took = time.monotonic() - began
        print("%s: status took %.2f s" % (fault, took))
        assert shown.returncode == 1 and took <= 3 * STATUS_SECONDS, (fault, took, shown.stdout)
        lines = shown.stdout.splitlines()
        for server in ("web2", "web3"):
            at = next(i for i, line in enumerate(lines) if line.startswith(server + " "))
            # The kernel may have found out before, and says it in its own words.
            assert "does not answer" in lines[at] and "connect: " in lines[at + 1], shown.stdout
            assert "; last heard of " in lines[at + 1], shown.stdout
        for server in ("web2", "web3"):
            mends(lab, server)


# ---- clocks


def test_a_server_whose_clock_is_a_day_ahead_is_named_and_works(make_lab):
    lab = make_lab(servers=THREE)
    wait_for_etcd(lab)
    with lab.visitors(rate=30, retry="idempotent") as visitors:
        lab.set_clock("web2", "+1d")
        lab.kill("web2")
        lab.power_on("web2")
        wait_until_all_serve(lab, THREE)
        line = wait_for_line(lab, "web1", ["the clock of another server differs", "server=web2"])
        assert 86_000 < int(line.rpartition("ahead_seconds=")[2].split()[0]) < 87_000, line
        assert "its clock is" in lab.terrace("web1", "status").stdout
        assert "behind ours" in lab.terrace("web2", "status").stdout
        before = len(log_of(lab, "web2"))
        # Who is ahead asks for a certificate, and the others accept it.
        visitors.stay(3.0)
        for server in ("web2", "web3"):
            wait_until(lambda: all_answer(lab, server, THREE), "every server to answer " + server)
        assert log_of(lab, "web2")[before:].count("has a new certificate") <= 1
    assert not visitors.result.failures, visitors.result
