"""HTTP/1.1 servers on the loopback that Terrace does not run, in threads of the test: what `[lb.backends]` names.

    with Backend("a") as a:
        a.status = 500           # from now on
        a.requests               # what it was asked, without the health checks

Each answers with its name in X-Served-By, and `NAME answers N` for a query `id=N`.
"""

import re
import socket
import threading
from dataclasses import dataclass

from harness import free_port

CHECK = "/up"  # answered by `healthy`, whatever else is wrong


@dataclass(frozen=True)
class Asked:
    connection: int
    method: str
    target: str
    fields: dict[str, str]  # names in lower case
    body: bytes
    first: bytes  # what the connection began with: a PROXY header, or nothing


class Backend:
    def __init__(self, name: str, port: int = 0, proxy: bool = False):
        self.name, self.proxy = name, proxy
        self.seconds = 0.0  # until it answers
        self.status = 200
        self.healthy = True
        self.after = b""  # bytes that follow each answer
        self.instead: bytes | None = None  # of an answer; then the connection ends
        self.silent = False  # takes requests, checks too, and says nothing
        self.go_on = threading.Event()
        self.requests: list[Asked] = []
        self.open: list[socket.socket] = []
        self.port = port or free_port()
        self.listener: socket.socket | None = None
        self.listen()

    def listen(self):
        """Again, after kill()."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    @property
    def address(self) -> str:
        return "127.0.0.1:%d" % self.port

    def __enter__(self) -> "Backend":
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """As kill -9 does: nobody listens, and what is open ends without an answer."""
        if self.listener is None:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass
        self.open = []

    def targets(self) -> list[str]:
        return [one.target for one in self.requests]

    def _accept(self, listener: socket.socket):
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            number += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int):
        try:
            with connection.makefile("rb") as reader:
                first = self._proxy_header(reader) if self.proxy else b""
                while self._serve_one(connection, reader, number, first):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            try:
                connection.close()
            except OSError:
                pass

    @staticmethod
    def _proxy_header(reader) -> bytes:
        head = reader.read(16)
        return head + reader.read(int.from_bytes(head[14:16], "big"))

    def _serve_one(self, connection, reader, number: int, first: bytes) -> bool:
        line = reader.readline().split()
        if len(line) != 3:
            return False
        fields = {}
        while (text := reader.readline().strip()):
            name, _, value = text.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        method, target = line[0].decode(), line[1].decode("latin-1")
        body = self._body(reader, fields)
        if self.silent:
            self.go_on.wait()
        if target == CHECK:
            connection.sendall(self._plain(200 if self.healthy else 503, b"checked\n"))
            return True
        self.requests.append(Asked(number, method, target, fields, body, first))
        if "upgrade" in fields:
            return self._echo(connection, reader)
        if self.seconds:
            threading.Event().wait(self.seconds)
        return self._answer(connection, method, target)

    @staticmethod
    def _body(reader, fields: dict) -> bytes:
        if fields.get("transfer-encoding") != "chunked":
            return reader.read(int(fields.get("content-length", "0")))
        body = b""
        while size := int(reader.readline(), 16):
            body += reader.read(size)
            reader.readline()
        reader.readline()
        return body

    def _answer(self, connection, method: str, target: str) -> bool:
        if self.instead is not None:
            connection.sendall(self.instead)
            return False
        number = re.search(r"[?&]id=(\w+)", target)
        text = "%s answers %s\n" % (self.name, number[1] if number else "nobody")
        answer = self._plain(self.status, text.encode())
        if method == "HEAD":
            answer = answer[: answer.index(b"\r\n\r\n") + 4]
        connection.sendall(answer + self.after)
        return True

    def _plain(self, status: int, body: bytes) -> bytes:
        head = "HTTP/1.1 %d Whatever\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nX-Served-By: %s\r\n\r\n" % (
            status, len(body), self.name)
        return head.encode() + body

    @staticmethod
    def _echo(connection, reader) -> bool:
        connection.sendall(b"HTTP/1.1 101 Whatever\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := reader.read1(65536):
            connection.sendall(data)
        return False
