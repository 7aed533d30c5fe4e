"""The harness itself: the recorder and the client, without Terrace between them."""

import os
import subprocess
import sys

import pytest
from client import Connection, ConnectionEnded, Load, Strict, parse_response_head
from harness import Ports, Recorder, free_port, is_listening, toml, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def app(tmp_path):
    """(port, Recorder) of a recording app that runs by itself."""
    port, recorder = free_port(), Recorder(tmp_path / "recorder")
    environment = {**os.environ, "PORT": str(port), "RECORDER": str(recorder.folder)}
    child = subprocess.Popen([sys.executable, HERE + "/recorder.py"], env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: is_listening(port), "the recorder listens")
    yield port, recorder
    child.terminate()
    child.wait(10)


def test_a_request_is_recorded_byte_by_byte(app):
    port, recorder = app
    sent = b"POST /echo?a=1 HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 5\r\n\r\nhello"
    with Connection(port) as connection:
        connection.send_split(sent, 3)
        assert connection.read_response().body == b"hello"
    (entry,) = recorder.requests()
    assert entry["raw"] == sent
    assert entry["target"] == "/echo?a=1" and entry["body"] == "hello"


def test_requests_on_one_connection_are_recorded_apart(app):
    port, recorder = app
    with Connection(port) as connection:
        connection.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.read_response(), connection.read_response()
    assert [entry["target"] for entry in recorder.requests()] == ["/a", "/b"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_recorded_as_malformed(app, request_bytes):
    port, recorder = app
    with Connection(port) as connection:
        connection.send(request_bytes)
        assert connection.read_response().status == 400
    assert recorder.requests()[0]["malformed"]


def test_scripted_answers_are_sent_as_they_are(app):
    port, recorder = app
    path = recorder.answer("bad", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
    with Connection(port) as connection, pytest.raises(ConnectionEnded):
        connection.get(path + "?close")


def test_bodies_come_in_every_framing(app):
    port, _ = app
    with Connection(port) as connection:
        for path in ("/bytes/1000", "/chunked/1000", "/chunked/0", "/until-close/1000"):
            assert len(connection.get(path).body) == int(path.split("/")[-1])


def test_an_answer_waits_for_its_word(app):
    port, recorder = app
    with Connection(port) as connection:
        connection.send(b"GET /wait/now HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.stays_open(0.05)
        recorder.go("now")
        assert connection.read_response().status == 200


def test_events_come_one_by_one(app):
    port, recorder = app
    with Connection(port) as connection:
        connection.send(b"GET /events/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.read_head()
        recorder.go("event-1")
        assert connection.read_chunk() == b"data: 1\n\n"
        assert connection.stays_open(0.05)
        recorder.go("event-2")
        assert connection.read_chunk() == b"data: 2\n\n"


def test_a_tunnel_gives_its_bytes_back(app):
    port, _ = app
    with Connection(port) as connection:
        answer = connection.get("/", {"Connection": "Upgrade", "Upgrade": "echo"})
        connection.send(b"\0\1raw")
        assert answer.status == 101 and connection.read_exactly(5) == b"\0\1raw"


def test_a_load_counts_failures_and_goes_on(app):
    port, recorder = app
    with Load(port, "/status/200") as load:
        load.until(20)
    assert not load.result.failures and load.result.longest_gap < 5, load.result
    with Load(port, "/status/500") as load:
        wait_until(lambda: len(load.result.failures) > 3, "failures are counted")
    with Load(free_port()) as load:
        wait_until(lambda: len(load.result.failures) > 3, "refused connections are failures")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 200 OK\r\na : b\r\n\r\n", b"HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n"]
)
def test_the_client_is_strict(head):
    with pytest.raises(Strict):
        parse_response_head(head)


def test_site_files_are_written_from_values():
    assert toml({"app": {"run": 'a "b"', "instances": 2, "env": {"A": "b"}, "user": None}}) == (
        '[app]\nrun = "a \\"b\\""\ninstances = 2\nenv = { "A" = "b" }\n\n'
    )


# ---- ports


def outgoing_ports() -> range:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first, last = file.read().split()
    return range(int(first), int(last) + 1)


def test_a_port_is_given_once_and_by_nobody_else_meanwhile(monkeypatch):
    monkeypatch.setattr(Ports, "RANGE", range(19_000, 19_100))
    source = "import harness; harness.Ports.RANGE = range(19_000, 19_100); ports = harness.Ports()\n" \
        "print(*(ports.take() for _ in range(40)), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", source], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as other:
        theirs = {int(word) for word in other.stdout.readline().split()}
        ports, ours = Ports(), []
        with pytest.raises(OSError):
            while True:
                ours.append(ports.take())
        other.communicate("\n", timeout=10)
    assert len(theirs) == 40 and len(set(ours)) == len(ours) >= 30 and not theirs & set(ours)


def test_no_outgoing_connection_nor_instance_takes_a_port_of_a_test():
    instances = range(20_000, 32_000)  # program/launch.cc
    assert not {*outgoing_ports(), *instances} & {*Ports.RANGE}
