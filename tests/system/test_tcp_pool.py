"""Connections of any protocol through the load balancer: `tcp` of [lb.pools]."""

import json
import os
import signal
import socket
import struct
import threading
import urllib.request

import pytest
from harness import free_port, is_listening, wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Echo:
    """Says its name to whoever connects, and again what it is told."""

    def __init__(self, name: bytes, port: int = 0):
        self.name = name
        self.listener = socket.create_server(("127.0.0.1", port or free_port()))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket):
        try:
            connection.sendall(self.name)
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.close()
        except OSError:
            pass

    def close(self):
        """As if its process were killed: nobody listens, and what is open is reset."""
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            except OSError:
                pass


@pytest.fixture
def echoes():
    both = [Echo(b"a"), Echo(b"b")]
    yield both
    for echo in both:
        echo.close()


def tables(port: int, echoes: list, **more) -> dict:
    backends = {echo.name.decode(): {"address": "127.0.0.1:%d" % echo.port, **more} for echo in echoes}
    return {
        "servers": {"main": {"address": "203.0.113.7", "roles": ["lb", "web", "app"]}},
        "lb": {"check_interval": "200ms", "slow_start": "0s"},
        "lb.backends": backends,
        "lb.pools": {"echo": {"servers": list(backends), "tcp": ["127.0.0.1:%d" % port]}},
    }


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def name_of(port: int) -> bytes:
    """Who answers a new connection; empty when nobody does."""
    with connect(port) as connection:
        try:
            return connection.recv(1)
        except ConnectionResetError:
            return b""


def test_connections_are_spread_and_bytes_come_back(make_site, echoes):
    port = free_port()
    site = make_site(**tables(port, echoes))
    assert {name_of(port) for _ in range(20)} == {b"a", b"b"}
    much = bytes(range(256)) * 4000
    with connect(port) as connection:
        assert connection.recv(1) in (b"a", b"b")
        sender = threading.Thread(target=lambda: (connection.sendall(much), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        back = b""
        while data := connection.recv(65536):
            back += data
        sender.join()
    assert back == much
    assert site.get("/").status < 500


def test_a_backend_that_dies_costs_no_new_connection_and_comes_back(make_site, echoes):
    port = free_port()
    make_site(**tables(port, echoes))
    wait_until(lambda: name_of(port) == b"b", "the second one is reached")
    echoes[1].close()
    assert {name_of(port) for _ in range(30)} == {b"a"}
    echoes[1] = Echo(b"b", echoes[1].port)
    wait_until(lambda: name_of(port) == b"b", "the second one is back")


def backends(site) -> dict:
    """What `terrace status` says of each: of this pool's, and of the server itself, which is in a pool of its own and
    down until its application is up."""
    said = json.loads(site.command("status", "--json", check=False).stdout)
    return {one["name"]: one for one in said.get("backends", [])}


def states(site) -> dict:
    return {name: one["state"] for name, one in backends(site).items()}


def test_status_says_who_is_down_since_when_and_why(make_site, echoes):
    port = free_port()
    site = make_site(**tables(port, echoes))
    wait_until(lambda: states(site) == {"a": "up", "b": "up", "main": "up"}, "all are up")
    shown = site.command("status", check=False)
    assert shown.returncode == 0, shown.stdout
    echoes[1].close()
    wait_until(lambda: backends(site)["b"]["state"] == "down", "the second one is down")
    down = backends(site)["b"]
    assert down["reason"] == "connect: Connection refused" and down["seconds"] < 10
    assert backends(site)["a"]["state"] == "up"
    shown = site.command("status", check=False)
    assert shown.returncode == 1 and "Connection refused" in shown.stdout, shown.stdout
    page = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % site.admin_port, timeout=5).read().decode()
    assert 'terrace_backend_up{pool="echo",backend="a"} 1' in page
    assert 'terrace_backend_up{pool="echo",backend="b"} 0' in page
    # A controller that is started anew hears it from the worker.
    controller = json.loads(site.command("status", "--json", check=False).stdout)["controller"]["pid"]
    os.kill(controller, signal.SIGKILL)
    wait_until(lambda: heard_again(site, controller), "the next controller knows")


def heard_again(site, before: int) -> bool:
    answer = site.command("status", "--json", check=False).stdout
    said = json.loads(answer) if answer.startswith("{") else {}
    states = {one["name"]: one["state"] for one in said.get("backends", [])}
    return said.get("controller", {}).get("pid", before) != before and states.get("b") == "down"


def test_a_backend_is_told_who_the_client_is(make_site, echoes):
    port = free_port()
    make_site(**tables(port, echoes, proxy=True))
    with connect(port) as connection:
        own = connection.getsockname()
        said = b""
        while len(said) < 29:
            said += connection.recv(100)
    assert said[1:13] == SIGNATURE
    assert said[13:17] == b"\x21\x11\x00\x0c"
    assert said[17:29] == socket.inet_aton("127.0.0.1") * 2 + struct.pack(">HH", own[1], port)


def test_a_reload_opens_and_closes_pools_and_cuts_nobody_off(make_site, echoes):
    port, other = free_port(), free_port()
    site = make_site(**tables(port, echoes))
    with connect(port) as connection:
        assert connection.recv(1)
        changed = tables(port, echoes)
        changed["lb.pools"]["more"] = {"servers": ["a"], "tcp": ["127.0.0.1:%d" % other]}
        changed["lb"]["balance"] = "least-connections"
        site.write(**changed)
        site.command("reload")
        wait_until(lambda: is_listening(other), "the new pool listens")
        wait_until(lambda: name_of(other) == b"a", "the new pool answers")
        site.write(**tables(port, echoes))
        site.command("reload")
        wait_until(lambda: not is_listening(other), "the pool is gone")
        connection.sendall(b"still here")
        assert connection.recv(100) == b"still here"


def test_without_a_backend_a_connection_is_closed_within_the_limit_of_the_queue(make_site, echoes):
    port = free_port()
    broken = tables(port, echoes)
    broken["lb"]["queue_timeout"] = "200ms"
    make_site(**broken)
    for echo in echoes:
        echo.close()
    assert name_of(port) == b""
