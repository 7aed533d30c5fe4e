"""The hop from a load balancer to a web server: who opens which address, and who may come."""

import json
import socket

import pytest
from harness import is_listening, wait_until
from servers import Servers
from test_apply import apply
from test_servers import make_servers  # noqa: F401

HOP = 7402
ROLES = {"lb1": ["lb"], "web1": ["web", "app"], "web2": ["web", "app"]}
SECONDS = 30


@pytest.fixture
def balanced(make_servers):  # noqa: F811
    return make_servers("lb1", "web1", "web2", roles=ROLES)


def listeners(servers: Servers, name: str) -> dict:
    """purpose to address, of those of `status`."""
    said = json.loads(servers[name].command("status", "--json", check=False).stdout)
    return {one["purpose"]: one.get("bound", one.get("error")) for one in said.get("listeners", [])}


def takes_the_hop(servers: Servers, name: str) -> bool:
    try:
        socket.create_connection((servers.addresses[name], HOP), timeout=5).close()
        return True
    except ConnectionRefusedError:
        return False


def with_roles(text: str, name: str, roles: list[str]) -> str:
    """The site file with other roles of that server."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(name + " = "))
    lines[at] = lines[at][:lines[at].index("roles")] + "roles = %s }" % json.dumps(roles)
    return "\n".join(lines) + "\n"


def test_only_load_balancers_open_the_address_of_visitors(balanced):
    assert set(listeners(balanced, "lb1")) == {"web", "admin"}
    for name in ("web1", "web2"):
        assert listeners(balanced, name) == {"hop": "%s:%d" % (balanced.addresses[name], HOP),
                                             "admin": "127.0.0.1:%d" % balanced[name].admin_port}
        assert not is_listening(balanced[name].port)
    assert is_listening(balanced["lb1"].port) and not takes_the_hop(balanced, "lb1")
    # A load balancer alone runs no application.
    assert json.loads(balanced["lb1"].command("status", "--json", check=False).stdout)["instances"] == []
    assert "serving the load balancers, on %s:%d" % (balanced.addresses["web1"], HOP) in balanced["web1"].log()


def test_a_drained_web_server_gives_its_address_up_and_takes_it_again(balanced):
    assert takes_the_hop(balanced, "web1")
    balanced["lb1"].command("drain", "web1")
    wait_until(lambda: not takes_the_hop(balanced, "web1"), "the hop is closed", SECONDS)
    assert takes_the_hop(balanced, "web2")
    balanced["lb1"].command("undrain", "web1")
    wait_until(lambda: takes_the_hop(balanced, "web1"), "the hop is open again", SECONDS)


def test_a_controller_that_is_killed_gives_no_address_up(balanced):
    before = listeners(balanced, "web1")
    balanced["web1"].kill("terrace: controller")
    wait_until(lambda: listeners(balanced, "web1") == before, "the next controller", SECONDS)
    assert not json.loads(balanced["web1"].command("status", "--json", check=False).stdout)["drained"]
    assert takes_the_hop(balanced, "web1")


def test_a_role_that_comes_or_goes_swaps_the_addresses(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    assert set(listeners(servers, "a")) == set(listeners(servers, "b")) == {"web", "admin"}
    text = with_roles(servers.text, "a", ["lb", "web", "app"])
    assert apply(servers, "b", text).returncode == 0
    # The only load balancer needs no way to itself.
    assert set(listeners(servers, "a")) == {"web", "admin"} and set(listeners(servers, "b")) == {"hop", "admin"}
    wait_until(lambda: not is_listening(servers["b"].port), "b takes no visitors", SECONDS)
    text = with_roles(text, "b", ["lb", "web", "app"])
    assert apply(servers, "b", text).returncode == 0
    assert set(listeners(servers, "a")) == set(listeners(servers, "b")) == {"web", "hop", "admin"}
    assert apply(servers, "a", servers.text).returncode == 0
    assert set(listeners(servers, "a")) == set(listeners(servers, "b")) == {"web", "admin"}
    assert servers["b"].get("/recorder/up").status == 200


def test_what_is_not_tls_gets_no_answer(balanced):
    with socket.create_connection((balanced.addresses["web1"], HOP), timeout=15) as client:
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        said = client.recv(100)
    # Nothing, or an alert of TLS (RFC 8446 section 6).
    assert said[:1] in (b"", b"\x15"), said
