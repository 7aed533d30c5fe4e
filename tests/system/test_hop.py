"""The hop from a load balancer to a web server: who opens which address, and who may come.

The load balancer is python3-h2 here, with what lb1 has on its disk.
"""

import json
import os
import signal
import socket
import ssl
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from client import Load
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from harness import is_listening, wait_until
from servers import Servers
from strangers import Strangers
from test_apply import apply
from test_proxy import echoes, open_tunnel
from test_servers import make_servers, secret_of, set_secret  # noqa: F401

HOP = 7402
ROLES = {"lb1": ["lb"], "web1": ["web", "app"], "web2": ["web", "app"]}
SECONDS = 30
QUICK = '[lb]\ncheck_interval = "200ms"\neject_time = "1s"\nslow_start = "0s"'
DATA, END = 0, 1  # RFC 9113 section 6.1
HEALTH = "/.well-known/terrace/health"


class Hop:
    """One connection to the hop of a server, with the certificate and key in that folder."""

    def __init__(self, address: str, shown: Path | None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["h2"])
        if shown:
            context.load_cert_chain(shown / "server.crt", shown / "server.key")
        self.socket = context.wrap_socket(socket.create_connection((address, HOP), timeout=10))
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.answers: dict[int, list] = {}
        self.ended: set[int] = set()
        self.goaway = False
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def read(self) -> bool:
        """What comes next; False at the end of the connection."""
        data = self.socket.recv(65536)
        for event in self.h2.receive_data(data) if data else []:
            if isinstance(event, ResponseReceived):
                self.answers[event.stream_id] = [int(dict(event.headers)[b":status"]), b""]
            elif isinstance(event, DataReceived):
                self.answers[event.stream_id][1] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (StreamEnded, StreamReset)):
                self.ended.add(event.stream_id)
            elif isinstance(event, ConnectionTerminated):
                self.goaway = True
        if data:
            self.flush()
        return bool(data)

    def ask(self, path: str, **fields) -> int:
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example.com"), (":path", path)]
        self.h2.send_headers(stream, head + [(name.replace("_", "-"), value) for name, value in fields.items()],
                             end_stream=True)
        self.flush()
        return stream

    def answer(self, stream: int) -> tuple[int, bytes]:
        while stream not in self.ended:
            assert self.read(), "the connection ended"
        return tuple(self.answers[stream])

    def get(self, path: str, **fields) -> tuple[int, bytes]:
        return self.answer(self.ask(path, **fields))

    def rest(self) -> list[tuple[int, int, int]]:
        """Kind, flags and stream of every frame until the end."""
        data, frames = b"", []
        while some := self.socket.recv(65536):
            data += some
        while len(data) >= 9:
            frames.append((data[3], data[4], int.from_bytes(data[5:9], "big")))
            data = data[9 + int.from_bytes(data[:3], "big"):]
        return frames

    def __enter__(self) -> "Hop":
        return self

    def __exit__(self, *_):
        self.socket.close()


def hop(servers: Servers, to: str, shown: str = "lb1", kind: str = "traffic") -> Hop:
    return Hop(servers.addresses[to], servers.cluster(shown) / kind)


def answers(servers: Servers, to: str) -> bool:
    """Whether it has its credentials and lets the load balancer in."""
    try:
        with hop(servers, to) as way:
            return way.get(HEALTH)[0] == 200
    except (OSError, AssertionError):
        return False


@pytest.fixture
def served(balanced):
    """The same once the hops are served."""
    for name in ("web1", "web2"):
        wait_until(lambda: answers(balanced, name), "the hop of " + name, SECONDS)
        balanced[name].recorder.forget()
    return balanced


@pytest.fixture
def balanced(make_servers):  # noqa: F811
    """lb1 and two web servers, all of which have opened the addresses that they will."""
    servers = make_servers("lb1", "web1", "web2", roles=ROLES, cluster=QUICK)
    for name in servers:
        wait_until(lambda: status(servers, name).get("state") == "serving", name + " serves", SECONDS)
    return servers


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
    balanced["web1"].wait_for_log("serving the load balancers, on %s:%d" % (balanced.addresses["web1"], HOP))


def test_a_load_balancer_alone_needs_no_secret_of_the_application(make_site):
    servers = Servers(["web1", "lb1"], make_site, roles=ROLES)
    servers.text = servers.text.replace('env = { ', 'env = { TOKEN = "${secret:TOKEN}", ')
    servers["web1"].file.write_text(servers.text)
    set_secret(servers, "web1", "hidden")
    servers.found("web1")
    servers.join("lb1", servers.token("lb1", "web1"))
    servers.start("lb1")
    servers.wait_until_all_answer("web1")
    wait_until(lambda: listeners(servers, "lb1").keys() == {"web", "admin"}, "lb1 listens", SECONDS)
    assert secret_of(servers, "lb1") == ""
    servers["lb1"].kill("terrace: controller")
    wait_until(lambda: "web" in listeners(servers, "lb1"), "the next controller", SECONDS)


def test_a_drained_web_server_gives_its_address_up_and_takes_it_again(balanced):
    assert takes_the_hop(balanced, "web1")
    balanced["lb1"].command("drain", "web1")
    wait_until(lambda: not takes_the_hop(balanced, "web1"), "the hop is closed", SECONDS)
    assert takes_the_hop(balanced, "web2")
    wait_until(lambda: "a backend is down backend=web1" in balanced["lb1"].log(), "its checks fail", SECONDS)
    said = json.loads(balanced["lb1"].command("status", "--json").stdout)["backends"]
    assert {one["name"]: one["state"] for one in said}["web1"] == "draining"
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


# ---- who may come


def heard(address: str, shown: Path | None) -> bytes:
    """What comes inside TLS after a whole preface; nothing where the connection ends before."""
    try:
        with Hop(address, shown) as way:
            return way.socket.recv(65536)
    except OSError:
        return b""


def test_a_load_balancer_asks_for_its_visitors_and_is_believed(served):
    with hop(served, "web1") as way:
        assert way.get("/a?b", x_forwarded_for="198.51.100.7", x_forwarded_proto="https", x_request_id="one")[0] == 200
        streams = [way.ask("/bytes/%d" % (1000 * number), x_forwarded_for="198.51.100.8") for number in range(20)]
        assert [len(way.answer(stream)[1]) for stream in streams] == [1000 * number for number in range(20)]
    first = next(one for one in served["web1"].recorder.wait_for(21) if one["target"] == "/a?b")
    fields = {name.lower(): value for name, value in first["fields"]}
    assert fields["x-forwarded-for"] == "198.51.100.7" and fields["x-forwarded-proto"] == "https"
    assert fields["host"] == "shop.example.com" and fields["x-request-id"] == "one"
    log = served["web1"].folder / "terrace/log/access.log"
    line = wait_until(lambda: next((one for one in map(json.loads, log.read_text().splitlines())
                                    if one.get("request_id") == "one"), None), "the line of the request")
    assert line["client"] == "198.51.100.7" and line["protocol"] == "HTTP/2.0" and line["host"] == "shop.example.com"
    assert not [one for one in log.read_text().splitlines() if HEALTH in one]


def test_health_is_said_to_the_load_balancer_and_not_to_its_visitors(served):
    with hop(served, "web1") as way:
        assert way.get(HEALTH) == (200, b"")
        assert way.get(HEALTH, x_forwarded_for="198.51.100.7") == (200, b"recorded\n")
        app = served["web1"].find("recorder.py")[-1].pid
        os.kill(app, signal.SIGSTOP)
        wait_until(lambda: way.get(HEALTH)[0] == 503, "it to be unwell", SECONDS)
        os.kill(app, signal.SIGCONT)
        wait_until(lambda: way.get(HEALTH)[0] == 200, "it to be well again", SECONDS)


@pytest.mark.parametrize("shown, kind", [("lb1", "."), ("web2", "traffic"), ("web1", "traffic"), (None, None)])
def test_who_is_no_load_balancer_gets_no_byte_of_http2(served, shown, kind):
    folder = served.cluster(shown) / kind if shown else None
    assert heard(served.addresses["web1"], folder) == b""
    assert heard(served.addresses["web1"], served.cluster("lb1") / "traffic")
    served["web1"].wait_for_log("a connection was refused")


def test_another_sites_load_balancer_is_refused(served, make_servers):  # noqa: F811
    other = make_servers("lb1", "web1", roles=ROLES)
    wait_until(lambda: answers(other, "web1"), "the hop of the other site", SECONDS)
    assert heard(served.addresses["web1"], other.cluster("lb1") / "traffic") == b""
    assert heard(other.addresses["web1"], served.cluster("lb1") / "traffic") == b""


def test_a_load_balancer_that_loses_its_role_is_cut_off(make_servers):  # noqa: F811
    servers = make_servers("lb1", "lb2", "web1", roles={"lb1": ["lb"], "lb2": ["lb"], "web1": ["web", "app"]})
    wait_until(lambda: answers(servers, "web1"), "the hop", SECONDS)
    with hop(servers, "web1") as lost:
        assert lost.get(HEALTH)[0] == 200
        assert apply(servers, "web1", with_roles(servers.text, "lb1", ["web", "app"])).returncode == 0
        with pytest.raises((OSError, AssertionError)):
            while True:
                lost.get(HEALTH)
    with hop(servers, "web1", shown="lb2") as other:
        assert other.get(HEALTH)[0] == 200
    assert heard(servers.addresses["web1"], servers.cluster("lb1") / "traffic") == b""


def test_a_drain_lets_requests_come_to_their_end_and_says_so(served):
    with hop(served, "web1") as way:
        slow = way.ask("/wait/end", x_forwarded_for="198.51.100.7")
        served["web1"].recorder.wait_for(1)
        drain = threading.Thread(target=lambda: served["lb1"].command("drain", "web1"))
        drain.start()
        while not way.goaway:
            assert way.read()
        served["web1"].recorder.go("end")
        # After GOAWAY python3-h2 takes no frame any more.
        frames = way.rest()
        assert any(stream == slow and kind == DATA and flags & END for kind, flags, stream in frames), frames
        drain.join(SECONDS)
    wait_until(lambda: not takes_the_hop(served, "web1"), "the hop is closed", SECONDS)
    served["lb1"].command("undrain", "web1")
    wait_until(lambda: answers(served, "web1"), "the hop is served again", SECONDS)


# ---- visitors of lb1


def through(servers: Servers, **options) -> Load:
    """Visitors of the load balancer, from when it has found both web servers."""
    lb1 = servers["lb1"]
    wait_until(lambda: {one["state"] for one in status(servers, "lb1")["backends"]} == {"up"}, "both are up", SECONDS)
    wait_until(lambda: lb1.get("/").status == 200, "lb1 answers", SECONDS)
    return Load(lb1.port, **options)


def status(servers: Servers, name: str) -> dict:
    return json.loads(servers[name].command("status", "--json", check=False).stdout)


LOOK_SECONDS = 0.5  # Connection::kLookForClient


def test_a_visitor_who_resets_the_connection_ends_the_request_at_the_application(served):
    def waiting(name: str) -> bool:
        return served[name].metrics()['terrace_instance_requests_in_flight{instance="app-1"}'] > 0

    wait_until(lambda: served["lb1"].get("/").status == 200, "lb1 answers", SECONDS)
    with served["lb1"].connect() as visitor:
        visitor.send(b"GET /wait/gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
        name = wait_until(lambda: next(filter(waiting, ("web1", "web2")), None), "the request")
        visitor.reset()
        began = time.monotonic()
        wait_until(lambda: not waiting(name), "its end on " + name, 3 * LOOK_SECONDS)
        print("ended after %.2f s" % (time.monotonic() - began))
    served[name].recorder.go("gone")


def test_web_servers_are_drained_in_turn_and_no_visitor_notices(served):
    with through(served, rate=200, clients=8) as visitors:
        for name in ("web1", "web2"):
            served["lb1"].command("drain", name)
            wait_until(lambda: not takes_the_hop(served, name), "the hop is closed", SECONDS)
            served[name].recorder.forget()
            visitors.until(100)
            assert served[name].recorder.requests() == []
            served["lb1"].command("undrain", name)
            wait_until(lambda: served[name].recorder.requests(), "visitors on %s again" % name, SECONDS)
    assert not visitors.result.failures, visitors.result


def tunnels_of(site) -> float:
    return site.metrics()["terrace_http_tunnels"]


def test_websockets_stay_open_while_their_servers_are_drained_upgraded_and_reloaded(served):
    visitors = through(served)
    with ExitStack() as open_ones:
        tunnels = [open_ones.enter_context(open_tunnel(served["lb1"])) for _ in range(6)]
        # Each core takes its own turns.
        wait_until(lambda: tunnels_of(served["web1"]) + tunnels_of(served["web2"]) == len(tunnels), "all are counted")
        assert tunnels_of(served["web1"]) and tunnels_of(served["web2"])
        open_ones.enter_context(visitors)
        for done, words in (("web1", "drain web1"), ("web1", "undrain web1"), ("web2", "drain web2"),
                            ("web2", "undrain web2"), ("web1", "upgrade"), ("web2", "upgrade"), ("lb1", "upgrade")):
            assert served[done].command(*words.split()).returncode == 0
            assert all(echoes(tunnel, words.encode()) for tunnel in tunnels), words


def test_a_web_server_without_its_application_gives_requests_back(served):
    with through(served, rate=100, clients=8) as visitors:
        for _ in range(6):
            wait_until(lambda: served["web1"].find("recorder.py"), "an instance on web1", SECONDS)
            for one in served["web1"].find("recorder.py"):
                os.kill(one.pid, signal.SIGKILL)
            visitors.until(50)
    print(visitors.result)
    assert not visitors.result.failures, visitors.result
    assert visitors.result.slowest < 1.5, "nobody has waited for an instance of web1"


def test_a_request_waits_for_an_application_that_no_server_has(served):
    through(served)
    for name in ("web1", "web2"):
        for one in served[name].find("recorder.py"):
            os.kill(one.pid, signal.SIGKILL)
    assert served["lb1"].get("/").status == 200


def test_a_web_server_is_upgraded_and_no_visitor_notices(served):
    with through(served, rate=200, clients=8) as visitors:
        for _ in range(2):
            served["web1"].command("upgrade")
            visitors.until(200)
    assert not visitors.result.failures, visitors.result
    wait_until(lambda: status(served, "web1")["program"]["upgrades"] == 2, "both upgrades", SECONDS)
    assert listeners(served, "web1").keys() == {"hop", "admin"}
    served["web1"].recorder.forget()
    wait_until(lambda: served["lb1"].get("/").status == 200 and served["web1"].recorder.requests(),
               "visitors on web1", SECONDS)


def longest_gap_of(visitors: Load) -> float:
    print("longest gap: %.0f ms" % (visitors.result.longest_gap * 1000))
    return visitors.result.longest_gap


def test_the_load_balancer_is_upgraded_and_nobody_waits(served):
    """The gap that is promised is 0.1 s; on a busy machine it may be three times that."""
    with through(served, rate=200, clients=8, fresh=True) as visitors:
        for count in (1, 2):
            served["lb1"].command("upgrade")
            wait_until(lambda: status(served, "lb1")["program"]["upgrades"] == count, "the upgrade", SECONDS)
            visitors.until(200)
    assert not visitors.result.failures, visitors.result
    assert longest_gap_of(visitors) < 0.3, visitors.result


@pytest.mark.parametrize("name", ["lb1", "web1"])
def test_a_new_worker_serves_when_it_has_its_credentials(served, name):
    served[name].command("upgrade")
    served[name].wait_for_log("the new worker serves")
    log = served[name].log()
    log = log[log.index("took over"):]
    assert "new credentials for the traffic" in log[:log.index("the new worker serves")]


def test_a_load_balancer_whose_member_does_not_start_is_upgraded_all_the_same(served):
    key = served.cluster("lb1") / "server.key"
    key.write_text("none")
    with through(served, rate=50, clients=2, fresh=True) as visitors:
        upgrade = threading.Thread(target=lambda: served["lb1"].command("upgrade", check=False))
        upgrade.start()
        served["lb1"].wait_for_log("took over")
        visitors.until(200)  # four seconds: the worker of before serves on
    assert not visitors.result.failures, visitors.result
    served["lb1"].wait_for_log("serves without credentials", SECONDS)
    served["lb1"].wait_for_log("the new worker serves")
    upgrade.join()


@pytest.mark.parametrize("addresses", [1, 200])
def test_strangers_that_never_end_their_handshakes_keep_no_load_balancer_out(served, addresses):
    """They hold more connections than a web server may have, on both, while those of lb1 are cut."""
    text = served.text.replace("[web]\n", "[web]\nconnections_max = 100\n")
    assert apply(served, "lb1", text).returncode == 0
    targets = [(served.addresses[name], HOP) for name in ("web1", "web2")]
    sources = ["127.99.9.%d" % (1 + number) for number in range(addresses)]
    with through(served, rate=100, clients=4) as visitors, Strangers(targets, 1200, sources) as strangers:
        wait_until(lambda: all(crowded_out(served, name) > 300 for name in ("web1", "web2")), "a crowd", SECONDS)
        visitors.until(100)
        for name in ("web1", "web2"):
            served[name].kill("terrace: worker")
            served[name].recorder.forget()
            wait_until(lambda: served[name].recorder.requests(), "visitors on %s again" % name, 8)
    print("%d connections of strangers; %s" % (strangers.opened, visitors.result))
    assert not visitors.result.failures, visitors.result
    # Each core of the two workers says so once a minute.
    assert 1 <= served["web1"].log().count("too many handshakes do not end") <= 2 * os.cpu_count()


def crowded_out(servers: Servers, name: str) -> float:
    return servers[name].metrics()["terrace_hop_handshakes_crowded_out_total"]
