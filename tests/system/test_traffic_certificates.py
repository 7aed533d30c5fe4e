"""The certificates by which workers of a site's servers meet: that each worker has what holds now."""

import json
import os
import re
import signal
import ssl

import pytest
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


def test_workers_have_what_holds_after_their_end_and_their_members(make_servers):
    servers = make_servers("a", "b")
    first = wait_for_use(servers, "b", lambda said: True, "credentials on b")
    for title in ("worker", "member", "controller", "worker"):
        before = len(used(servers, "b"))
        kill(servers, "b", title)
        if title == "controller":
            continue
        said = wait_until(lambda: len(all := used(servers, "b")) > before and all[-1], "after the %s" % title, 20)
        assert (said["serial"], said["authorities"]) == (first["serial"], "1"), "the one from the disk"


def test_a_server_that_starts_alone_meets_the_others_with_what_it_has(make_servers):
    servers = make_servers("a", "b")
    first = wait_for_use(servers, "b", lambda said: True, "credentials on b")
    folder = servers.cluster("b") / "traffic"
    assert {one.name: oct(one.stat().st_mode & 0o077) for one in folder.iterdir()} == {
        "server.key": "0o0", "server.crt": "0o0"}
    assert (folder / "server.key").read_text() != (servers.cluster("b") / "server.key").read_text()
    # Without one it would not know who is revoked, and tell its worker nothing.
    wait_until(lambda: (servers.cluster("b") / "state/last-copy").exists(), "a copy of what the servers share")
    servers["b"].stop()
    servers["a"].stop()
    before = len(used(servers, "b"))
    servers["b"].start()
    said = wait_until(lambda: len(all := used(servers, "b")) > before and all[-1], "credentials on b", 20)
    assert said["serial"] == first["serial"]


def test_a_revocation_reaches_the_workers(make_servers):
    servers = make_servers("a", "b", "c")
    own = {name: wait_for_use(servers, name, lambda said: True, "credentials on " + name) for name in servers}
    assert {said["revoked"] for said in own.values()} == {"0"}
    servers["a"].command("revoke", "c")
    for name in ("a", "b"):
        said = wait_for_use(servers, name, lambda said: said["revoked"] != "0", "the revocation on " + name)
        # Its own one and the one for traffic; perhaps of more than one time.
        assert int(said["revoked"]) >= 2 and said["serial"] == own[name]["serial"]
    # What is known is known after the end of the member, too, from the first moment.
    before = len(used(servers, "b"))
    kill(servers, "b", "member")
    wait_until(lambda: len(used(servers, "b")) > before, "the next member", 20)
    assert all(int(said["revoked"]) >= 2 for said in used(servers, "b")[before:])


def test_a_rotation_brings_new_certificates_for_traffic(make_servers):
    servers = make_servers("a", "b")
    first = {name: wait_for_use(servers, name, lambda said: True, "credentials on " + name) for name in servers}
    authority = wait_until(
        lambda: (now := certificates(servers, "a")) and all(one["traffic_signer"] for one in now["servers"]) and
        now["authorities"], "what they say of it", 20)
    servers["a"].command("certificates", "rotate")
    done = wait_until(lambda: (now := certificates(servers, "a"))["phase"] == "none" and
                      now["authorities"] != authority and now, "another authority", 30)
    assert [one["traffic_signer"] for one in done["servers"]] == 2 * done["authorities"]
    for name in servers:
        said = wait_for_use(servers, name, lambda said: said["authorities"] == "1" and
                            said["serial"] != first[name]["serial"], "the new one on " + name)
        assert said["revoked"] == "0"
        # Both were trusted before the first certificate of the new one was used.
        seen = used(servers, name)
        assert next(one for one in seen if one["serial"] == said["serial"])["authorities"] == "2"


def test_no_secret_of_the_traffic_is_said_anywhere(make_servers):
    servers = make_servers("a", "b")
    for name in servers:
        wait_for_use(servers, name, lambda said: True, "credentials on " + name)
    key = (servers.cluster("a") / "traffic/server.key").read_text().splitlines()[1]
    said = servers["a"].log() + servers["a"].command("status", "--json").stdout
    said += servers["a"].command("certificates", "--json").stdout + servers["a"].command("logs").stdout
    assert key not in said and "PRIVATE" not in said


def test_an_upgrade_leaves_no_worker_without_credentials(make_servers):
    servers = make_servers("a", "b")
    first = wait_for_use(servers, "b", lambda said: True, "credentials on b")
    before = len(used(servers, "b"))
    servers["b"].command("upgrade")
    said = wait_until(lambda: len(all := used(servers, "b")) > before and all[-1], "credentials of the new worker", 20)
    assert said["serial"] == first["serial"]


def test_what_a_worker_holds_is_refused_where_servers_speak_with_each_other(make_servers):
    servers = make_servers("a", "b")
    wait_for_use(servers, "b", lambda said: True, "credentials on b")
    for folder, refused in ((servers.cluster("b"), False), (servers.cluster("b") / "traffic", True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["terrace/1"])
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        since = len(servers["a"].log())
        with context.wrap_socket(servers.connect("a")) as connection:
            connection.settimeout(1)
            # Who calls and is let in speaks first.
            with pytest.raises(ssl.SSLError if refused else TimeoutError):
                connection.recv(1)
        if refused:
            wait_until(lambda: "not for this use" in servers["a"].log()[since:], "why, in the log")
