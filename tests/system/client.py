"""A strict HTTP/1.1 client on a raw socket, and a small load that counts what goes wrong.

`Connection` sends bytes exactly as given, in pieces where asked, and reads
responses strictly: what a lenient client would forgive is a `Strict` error here.
Every read has a deadline; nothing here sleeps.
"""

import itertools
import re
import socket
import threading
import time
from dataclasses import dataclass, field

DEADLINE = 10.0  # seconds that any one answer may take


class Strict(Exception):
    """The server sent something that RFC 9112 does not allow."""


class ConnectionEnded(Exception):
    """The server closed before the response was complete."""


@dataclass
class Response:
    status: int
    reason: str
    fields: list[tuple[str, str]]  # names in lower case, in the order of the wire
    body: bytes
    head: bytes  # exactly as it came
    version: str = "HTTP/1.1"

    def __getitem__(self, name: str) -> str | None:
        """The value of the only field of that name, or None; two are an error of the test's subject."""
        values = [value for key, value in self.fields if key == name.lower()]
        if len(values) > 1:
            raise Strict("%d fields named %s" % (len(values), name))
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name.lower()]

    @property
    def text(self) -> str:
        return self.body.decode()


def parse_response_head(head: bytes) -> Response:
    lines = head[:-4].split(b"\r\n")
    if any(b"\n" in line or b"\r" in line or b"\0" in line for line in lines):
        raise Strict("a bare CR, LF or NUL in %r" % head)
    match = re.fullmatch(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)", lines[0])
    if not match:
        raise Strict("status line %r" % lines[0])
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise Strict("field line %r" % line)
        fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
    version, status, reason = (part.decode("latin-1") for part in match.groups())
    return Response(int(status), reason, fields, b"", head, version)


class Connection:
    """One TCP (port) or Unix (path) connection. Use it as a context manager."""

    def __init__(self, where: int | str, deadline: float = DEADLINE, host: str = "127.0.0.1"):
        self.deadline = deadline
        self.buffer = b""
        self.received = 0  # bytes since the last request()
        if isinstance(where, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(deadline)
            self.socket.connect(where)
        else:
            self.socket = socket.create_connection((host, where), timeout=deadline)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)

    def send_split(self, data: bytes, size: int = 1):
        """Sends in pieces of `size` bytes, each written on its own."""
        for at in range(0, len(data), size):
            self.socket.sendall(data[at : at + size])

    def half_close(self):
        """No more will be sent; answers can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a TCP RST, as a crashed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def request(self, method: str, target: str, fields=(), body: bytes = b"", host: str = "localhost"):
        """Sends one well-formed request and reads the final response (1xx are skipped)."""
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: " + host]
        lines += ["%s: %s" % pair for pair in (fields.items() if isinstance(fields, dict) else fields)]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append("Content-Length: %d" % len(body))
        self.received = 0
        self.send("\r\n".join(lines + ["", ""]).encode("latin-1") + body)
        response = self.read_response(method)
        while response.status < 200 and response.status != 101:
            response = self.read_response(method)
        return response

    def get(self, target: str, fields=(), host: str = "localhost") -> Response:
        return self.request("GET", target, fields, host=host)

    def read_response(self, method: str = "GET") -> Response:
        """The next response, 1xx included, with its body by its framing."""
        response = parse_response_head(self.read_until(b"\r\n\r\n"))
        response.body = self._read_body(response, method)
        return response

    def read_head(self) -> Response:
        """Only the head; the body stays to be read with read_exactly or read_chunk."""
        return parse_response_head(self.read_until(b"\r\n\r\n"))

    def _read_body(self, response: Response, method: str) -> bytes:
        coding, length = response["transfer-encoding"], response["content-length"]
        if coding is not None and length is not None:
            raise Strict("both framings")
        if method == "HEAD" or response.status < 200 or response.status in (204, 304):
            return b""
        if coding is not None:
            if coding != "chunked":
                raise Strict("Transfer-Encoding: " + coding)
            return b"".join(iter(self.read_chunk, b""))
        if length is None:
            return self.read_to_end()
        if not re.fullmatch("[0-9]+", length):
            raise Strict("Content-Length: " + length)
        return self.read_exactly(int(length))

    def read_chunk(self) -> bytes:
        """The data of the next chunk; b"" for the last one, whose end is read too."""
        line = self.read_until(b"\r\n")
        if not re.fullmatch(rb"[0-9a-fA-F]+\r\n", line):
            raise Strict("chunk line %r" % line)
        data = self.read_exactly(int(line, 16))
        if self.read_exactly(2) != b"\r\n":
            raise Strict("no CRLF after a chunk")
        return data

    def read_until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            self._more()
        return self.read_exactly(self.buffer.index(end) + len(end))

    def read_exactly(self, count: int) -> bytes:
        parts, have = [self.buffer], len(self.buffer)
        while have < count:
            parts.append(self._receive(max(65536, min(count - have, 1 << 20))))
            have += len(parts[-1])
        data = b"".join(parts)
        self.buffer = data[count:]
        return data[:count]

    def read_to_end(self) -> bytes:
        """All until the server closes in an orderly way."""
        data, self.buffer = [self.buffer], b""
        while piece := self.socket.recv(65536):
            data.append(piece)
        return b"".join(data)

    def _more(self):
        self.buffer += self._receive(65536)

    def _receive(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if not data:
            raise ConnectionEnded("the connection ended after %d bytes, the last %r" % (self.received, self.buffer))
        self.received += len(data)
        return data

    def is_closed(self, within: float = DEADLINE) -> bool:
        """Waits for the end of the connection (FIN or RST); False when it stays open or data comes."""
        self.socket.settimeout(within)
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(self.deadline)

    def stays_open(self, seconds: float = 0.2) -> bool:
        """True when neither data nor an end comes for that long."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1)
            return False
        except TimeoutError:
            return not self.buffer
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(self.deadline)


@dataclass
class Failure:
    at: float  # seconds since the load began
    what: str


@dataclass
class Result:
    """What a Load saw. Times in seconds."""

    requests: int = 0  # that were answered as expected
    failures: list[Failure] = field(default_factory=list)
    longest_gap: float = 0.0  # between two good answers, of all clients together
    slowest: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)

    def __str__(self):
        return "%d answered, %d failed, longest gap %.0f ms, slowest %.0f ms%s" % (
            self.requests,
            len(self.failures),
            self.longest_gap * 1000,
            self.slowest * 1000,
            "".join("\n  %.3f s: %s" % (one.at, one.what) for one in self.failures[:10]),
        )


class Load:
    """A constant small load while the body of the `with` runs:

        with Load(site.port, "/") as load:
            site.kill("worker")
            load.until(500)             # 500 more good answers, or the deadline
        assert not load.result.failures, load.result

    `rate` requests per second are spread over `clients` threads. With
    `fresh` each request has a connection of its own; otherwise connections are
    kept, and one that ends before any byte of an answer is replaced and the
    request sent once more, as RFC 9112 section 9.3.1 allows: only if that fails
    too is it a failure. Without `resend` it is one at once.
    """

    def __init__(self, port: int, path: str = "/", rate: float = 200, clients: int = 4, fresh: bool = False,
                 expect=lambda response: response.status == 200, method: str = "GET", body: bytes = b"",
                 deadline: float = DEADLINE, resend: bool = True):
        self.resend = resend
        self.port, self.path, self.fresh, self.expect = port, path, fresh, expect
        self.method, self.body, self.deadline = method, body, deadline
        self.interval = clients / rate
        self.result = Result()
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._client, args=(i / rate,)) for i in range(clients)]

    def __enter__(self):
        self._began = self._last_good = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._note_gap(time.monotonic())

    def until(self, more: int, deadline: float = 30.0):
        """Waits until so many more requests were answered well."""
        with self._changed:
            target = self.result.requests + more
            if not self._changed.wait_for(lambda: self.result.requests >= target, deadline):
                raise TimeoutError("the load made no progress: %s" % self.result)

    def _note_gap(self, now: float):
        self.result.longest_gap = max(self.result.longest_gap, now - self._last_good)
        self._last_good = max(self._last_good, now)

    def _client(self, offset: float):
        connection = None
        due = self._began + offset
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + self.interval, time.monotonic() - 1.0)
            connection = self._once(connection)
        if connection:
            connection.close()

    def _once(self, connection):
        began = time.monotonic()
        try:
            connection, response = self._exchange(connection)
        except (OSError, Strict, ConnectionEnded) as error:
            self._note_failure("%s: %s" % (type(error).__name__, error))
            return None
        self._note_answer(began, response)
        if self.fresh or response["connection"] == "close":
            connection.close()
            return None
        return connection

    def _exchange(self, connection):
        if connection:
            try:
                return connection, connection.request(self.method, self.path, body=self.body)
            except (ConnectionEnded, ConnectionError):
                connection.close()
                if connection.received or not self.resend:
                    raise
        connection = self._connect()
        try:
            return connection, connection.request(self.method, self.path, body=self.body)
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> Connection:
        return Connection(self.port, self.deadline)

    def _note_failure(self, what: str):
        with self._changed:
            self.result.failures.append(Failure(time.monotonic() - self._began, what))

    def _note_answer(self, began: float, response: Response):
        if not self.expect(response):
            self._note_failure("status %d: %r" % (response.status, response.body[:100]))
            return
        with self._changed:
            now = time.monotonic()
            self._note_gap(now)
            self.result.requests += 1
            self.result.statuses[response.status] = self.result.statuses.get(response.status, 0) + 1
            self.result.slowest = max(self.result.slowest, now - began)
            self._changed.notify_all()


class RoundRobin(Load):
    """A load over several ports, as a client that was given several addresses makes it:
    where nobody listens it tries the next one."""

    def __init__(self, ports: list[int], path: str = "/", **options):
        super().__init__(ports[0], path, **options)
        self.ports = ports
        self.turn = itertools.count()

    def _connect(self) -> Connection:
        first = next(self.turn)
        for attempt in range(len(self.ports)):
            try:
                return Connection(self.ports[(first + attempt) % len(self.ports)], self.deadline)
            except ConnectionRefusedError:
                continue
        raise ConnectionRefusedError("nobody listens on %s" % self.ports)
