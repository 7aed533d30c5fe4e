"""Servers whose certificates have ended, as they were off for longer than those held."""

import json
import subprocess
import time

import pytest
from harness import wait_until
from servers import make_servers
from test_servers import client_context, message, read_message


def wait_until_ended(servers, name: str):
    """Its certificate holds no more."""
    def ended():
        done = subprocess.run(["openssl", "x509", "-noout", "-checkend", "0", "-in",
                               str(servers.cluster(name) / "server.crt")], capture_output=True, check=False)
        return done.returncode == 1

    wait_until(ended, "the certificate of %s to end" % name, 60, pace=0.5)


def test_voters_that_were_all_off_for_longer_than_their_certificates_come_back(make_servers):
    servers = make_servers("a", "b", "c", "d", joined=False, cluster='certificate_life = "15s"')
    on = ("a", "b", "c")
    for name in on[1:]:
        servers.join(name, servers.token(name, "a"))
        servers.start(name)
    wait_until(lambda: "etcd holds the shared state from now on" in servers["a"].log(), "etcd", 60)
    for name in ("a", "b"):
        wait_until(lambda: (servers.cluster(name) / "authority.pem").exists(), "the key on " + name, 20)
    for name in on:
        servers[name].stop()
    for name in on:
        wait_until_ended(servers, name)
    for name in on:
        servers[name].start(wait=False)
    token = wait_until(lambda: json.loads(servers["c"].command("token", "d", "--json", check=False).stdout or
                                          "{}").get("token"), "a token", 60, pace=0.5)
    assert token.startswith("terrace1.")
    said = "".join(servers[name].log() for name in on)
    assert "signed a short certificate by the last copy" in said
    servers.wait_until_all_answer("b", on)


@pytest.mark.parametrize("copy", (True, False), ids=("its copy", "no copy"))
def test_a_server_that_alone_was_off_for_too_long_joins_again(make_servers, copy):
    servers = make_servers("a", "b", "c", joined=False, cluster='certificate_life = "15s"')
    for name in ("b", "c"):
        servers.join(name, servers.token(name, "a"))
        servers.start(name)
        servers.wait_until_all_answer("a", ("a", name))
    servers["c"].stop()
    if not copy:  # of what the servers share: cut off before it had one
        (servers.cluster("c") / "state/last-copy").unlink(missing_ok=True)
    wait_until_ended(servers, "c")
    servers["c"].start(wait=False)
    servers["a"].wait_for_log("refused a server whose certificate has ended")
    assert "it has to join again" in servers["a"].log()
    assert "has a new one server=c" not in servers["a"].log()


def test_two_servers_that_were_off_for_too_long_come_back_and_a_revoked_one_does_not(make_servers):
    servers = make_servers("a", "b", "c", joined=False, cluster='certificate_life = "15s"')
    for name in ("b", "c"):
        servers.join(name, servers.token(name, "a"))
        servers.start(name)
        servers.wait_until_all_answer("a", ("a", name))
    servers["c"].stop()
    servers["a"].command("revoke", "c")
    for name in ("a", "b"):
        servers[name].stop()
    for name in servers:
        wait_until_ended(servers, name)
    for name in servers:
        servers[name].start(wait=False)
    servers.wait_until_all_answer("a", ("a", "b"))
    wait_until(lambda: "no server of the site has that name" in servers["a"].log() + servers["b"].log(),
               "c to be refused", 30)
    assert not servers.seen_from("a")["c"]["joined"]


def asked_without(servers, on: str, name: str, *key: str) -> dict:
    """What that server says to one that has no certificate, and calls itself `name`."""
    made = subprocess.run(["openssl", "req", "-new", *key, "-subj", "/"], capture_output=True, text=True,
                          check=True).stdout
    with client_context().wrap_socket(servers.connect(on)) as connection:
        connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": "", "program": "0",
                                    "time_ms": int(time.time() * 1000)}))
        assert read_message(connection)["server"] == on
        connection.sendall(message({"request": "renew-ended", "server": name, "certificate_request": made}))
        return read_message(connection)


def test_while_the_site_stands_nobody_gets_a_certificate_without_one(make_servers, tmp_path):
    servers = make_servers("a", "b")
    answer = asked_without(servers, "a", "b", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-keyout", str(tmp_path / "key.pem"))
    assert answer["ok"] is False and "join again" in answer["error"], answer
    servers["a"].wait_for_log("refused a server whose certificate has ended")


def test_a_moment_without_the_shared_state_makes_a_key_from_an_old_disk_worth_nothing_more(make_servers):
    servers = make_servers("a", "b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    servers["a"].stop()  # it holds what they share
    answer = asked_without(servers, "b", "a", "-key", str(servers.cluster("a") / "server.key"))
    assert answer["ok"] is False and "join again" in answer["error"], answer
