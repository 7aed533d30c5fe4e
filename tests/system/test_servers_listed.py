"""What the site file leaves of a certificate: a server that was taken out of it has no rights any more,
although its certificate holds."""

import contextlib
import json
import time

from harness import is_listening, wait_until
from servers import make_servers, without
from test_apply import apply
from test_servers import client_context, message, read_message


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


@contextlib.contextmanager
def greeted(servers, name: str, on: str):
    """As that server, with its certificate."""
    context = client_context()
    folder = servers.cluster(name)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with context.wrap_socket(servers.connect(on)) as connection:
        connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": name, "program": "0",
                                    "time_ms": int(time.time() * 1000)}))
        assert read_message(connection)["server"] == on
        yield connection


def asked(servers, name: str, on: str, request: str, state=None) -> dict:
    with greeted(servers, name, on) as connection:
        connection.sendall(message({"request": request}))
        if state is not None:
            connection.sendall(frame(b"d", json.dumps(state).encode()) + frame(b"e", b""))
        while True:
            head = read_exactly(connection, 5)
            body = read_exactly(connection, int.from_bytes(head[1:], "big"))
            if head[:1] == b"m":
                return json.loads(body)


def read_exactly(connection, count: int) -> bytes:
    read = b""
    while len(read) < count:
        some = connection.recv(count - len(read))
        assert some, "the other side has left"
        read += some
    return read


def three(make_servers):
    servers = make_servers("a", "b", "c")
    servers["a"].wait_for_log("etcd holds the shared state from now on", seconds=60)
    return servers


def refused(site, why: str):
    return wait_until(lambda: [line for line in site.log().splitlines()
                               if "refused a request of another server" in line and why in line], "a line about it")


def test_a_server_that_the_site_file_does_not_name_any_more_has_no_rights(make_servers):
    servers = three(make_servers)
    assert asked(servers, "c", "a", "status")["ok"]
    with greeted(servers, "c", "a") as watch:
        # Waits for what there is not.
        watch.sendall(message({"request": "state"}) + frame(b"d", json.dumps(
            {"ask": "watch", "prefix": "none", "since": 1 << 40, "wait_ms": 20000}).encode()) + frame(b"e", b""))
        done = apply(servers, "b", without(servers.text, "c"))
        assert done.returncode == 0, done.stdout + done.stderr
        servers["a"].wait_for_log("ended connections of servers that the site file gives less than before")
    for on in ("a", "b"):
        for request in ("status", "logs", "renew", "token", "rotate", "authority-key", "store-secret", "secrets",
                        "control"):
            answer = asked(servers, "c", on, request)
            assert answer["ok"] is False and "does not name it" in answer["error"], (request, answer)
        line = refused(servers[on], "does not name it")[0]
        assert "who=c" in line and "from=127.0.0.1" in line and "`status`" in line
    # It hears that it was taken out, and changes nothing.
    assert asked(servers, "c", "a", "state", {"ask": "where"})["ok"]
    assert asked(servers, "c", "a", "state", {"ask": "get", "key": "site"})["ok"]
    answer = asked(servers, "c", "a", "state", {"ask": "commit", "commit": {
        "conditions": [], "writes": [{"key": "drains/a", "value": "e30="}]}})
    assert answer["ok"] is False and "does not name it" in answer["error"]
    refused(servers["a"], "`state`")
    servers.wait_until_all_answer("a", ("a", "b"))


def test_who_holds_what_the_servers_share_may_be_taken_out(make_servers):
    servers = make_servers("a", "b", "c", joined=False)
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    text = without(servers.text, "a")
    done = apply(servers, "b", text)
    assert done.returncode == 0, done.stdout + done.stderr
    servers["b"].wait_for_log("this server holds the shared state from now on")
    wait_until(lambda: not is_listening(servers["a"].port), "a to take no visitors")
    # It can be changed: another server joins.
    servers.join("c", servers.token("c", "b"))
    servers.start("c")
    servers.wait_until_all_answer("c", ("b", "c"))


def test_a_server_that_was_taken_out_cannot_stop_the_coordinator(make_servers):
    servers = make_servers("a", "b", "c", joined=False)
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    done = apply(servers, "a", without(servers.text, "b"))
    assert done.returncode == 0, done.stdout + done.stderr
    # As if it had seen more than the coordinator has on its disk.
    asked(servers, "b", "a", "state", {"ask": "watch", "prefix": "", "since": 1 << 40, "wait_ms": 100})
    done = apply(servers, "a", servers.text)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_that_was_off_while_it_was_taken_out_hears_so(make_servers):
    servers = three(make_servers)
    servers["c"].stop()
    done = apply(servers, "a", without(servers.text, "c"))
    assert done.returncode == 0, done.stdout + done.stderr
    servers["c"].start(wait=False)
    servers["c"].wait_for_log("\nserving \n")  # at no address
    wait_until(lambda: not is_listening(servers["c"].port), "c to take no visitors")
