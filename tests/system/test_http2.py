"""HTTP/2 with clients that are not ours: python3-h2, which can be told to misbehave, and curl.

The program is src/http/http2_trial.cc. The rows of malformed frames are in src/http/http2_hostile_test.cc; here are
those that take a whole client: what it may ask, what it may not flood us with, and that we go on for others.
"""

import socket
import subprocess

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings
from harness import BINARY

TRIAL = BINARY.parent / "http2_trial"
WAIT = 5  # seconds for each read


class Client:
    """One connection; what came is kept by stream."""

    def __init__(self, port: int, window: int | None = None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.h2 = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
        if window is not None:
            self.h2.local_settings = Settings(True, {SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaway: int | None = None
        self.open = True
        self.flush()

    def flush(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            self.open = False

    def ask(self, path: str = "/a", method: str = "GET", body: bytes | None = None, end: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(stream, head, end_stream=end and body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        return stream

    def read(self, give_back: bool = True) -> bool:
        """What comes next; False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.open = False
            return False
        for event in self.h2.receive_data(data):
            if isinstance(event, DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                if give_back and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, StreamReset):
                self.resets[event.stream_id] = event.error_code
            elif isinstance(event, ConnectionTerminated):
                self.goaway = event.error_code
        self.flush()
        return True

    def answer(self, stream: int) -> bytes:
        self.flush()
        while stream not in self.ended and stream not in self.resets and self.read():
            pass
        assert stream in self.ended, (self.resets, self.goaway)
        return self.bodies.get(stream, b"")

    def ends_with(self) -> int | None:
        self.flush()
        while self.goaway is None and self.read():
            pass
        return self.goaway


@pytest.fixture
def port():
    with subprocess.Popen([TRIAL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        yield int(program.stdout.readline())
        program.stdin.close()
        assert program.wait(10) == 0


def test_a_hundred_streams_at_a_time_each_get_their_own_answer(port):
    client = Client(port)
    for _ in range(5):
        streams = {client.ask(f"/{number}", "POST", b"x" * number): number for number in range(100)}
        for stream, number in streams.items():
            assert client.answer(stream) == b"POST /%d %d" % (number, number)


def test_a_stream_that_is_not_read_does_not_hold_another(port):
    client = Client(port, window=1000)
    held = client.ask("/large")
    client.flush()
    while len(client.bodies.get(held, b"")) < 1000:
        assert client.read(give_back=False)
    assert client.answer(client.ask("/b")) == b"GET /b 0"
    assert held not in client.ended
    client.h2.increment_flow_control_window(1 << 20, held)
    client.h2.increment_flow_control_window(1 << 20)
    assert client.answer(held) == b"l" * (1 << 20)


def test_curl_is_answered(port):
    asked = ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "5", "-w", " %{http_version} %{http_code}"]
    done = subprocess.run([*asked, "-d", "abc", f"http://127.0.0.1:{port}/c"], capture_output=True, text=True)
    assert done.stdout == "POST /c 3 2 200", done.stderr


def rapid_reset(client: Client):
    for _ in range(400):
        client.h2.reset_stream(client.ask("/a", "POST", end=False), ErrorCodes.CANCEL)


def pings(client: Client):
    for number in range(400):
        client.h2.ping(b"%08d" % number)


def settings(client: Client):
    for number in range(400):
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65535 + number})


def empty_data(client: Client):
    stream = client.ask("/a", "POST", end=False)
    for _ in range(400):
        client.h2.send_data(stream, b"")


def priorities(client: Client):
    stream = client.ask("/a", "POST", end=False)
    for number in range(400):
        client.h2.prioritize(stream, weight=1 + number % 256)


@pytest.mark.parametrize("flood", [rapid_reset, pings, settings, empty_data, priorities])
def test_a_flood_ends_with_a_word_and_disturbs_nobody_else(port, flood):
    other = Client(port)
    assert other.answer(other.ask()) == b"GET /a 0"
    client = Client(port)
    flood(client)
    assert client.ends_with() == ErrorCodes.ENHANCE_YOUR_CALM
    assert other.answer(other.ask("/after")) == b"GET /after 0"


def test_a_stream_that_is_reset_at_once_is_hardly_work(port):
    client = Client(port)
    for _ in range(50):
        client.h2.reset_stream(client.ask(), ErrorCodes.CANCEL)
    # Streams and their resets came in one read: no handler was started for them.
    assert int(client.answer(client.ask("/count"))) <= 2
