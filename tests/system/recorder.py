#!/usr/bin/python3
"""The application of the system tests: it answers, and it records what it was sent.

It listens on $PORT (127.0.0.1) or on the Unix socket $SOCKET. Every request is
appended to the file $RECORDER/requests as one JSON line with its exact bytes.
It knows nothing lenient: a request that is not a plain one (two framing fields,
two Hosts, folding, a bare line feed, ...) is recorded with `malformed` set to the
reason, so that a test can ask that nothing malformed ever arrives; one that the
peer ended early is recorded with `incomplete`.

Paths it knows, each without the query:
  /recorder/up      200; not recorded: for health checks
  /status/404       that status
  /bytes/1000       a body of that many bytes, the letters a to z again and again
  /chunked/1000     the same, chunked
  /until-close/1000 the same, ended by closing
  /echo             the body that came
  /about            JSON: pid, uid, groups, folder, environment, connection number
  /wait/NAME        answers only once the file $RECORDER/go/NAME exists
  /answer/NAME      the bytes of the file $RECORDER/answers/NAME, as they are;
                    with ?close the connection is closed after them
  /cut/1000         a Content-Length of that many bytes, half of them, then a close
  /events/3         that many server-sent events; each is sent as soon as
                    $RECORDER/go/event-N exists (N from 1)
  /exit/3           the process ends with that status, without an answer
  /log/TEXT         TEXT as a line on standard output, and 200
Everything else: 200 and `recorded`. A request with `Upgrade` gets a 101 and from
then on its bytes back.
"""

import base64
import json
import os
import re
import signal
import socket
import sys
import threading
import time

FOLDER = os.environ.get("RECORDER", ".")
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LOCK = threading.Lock()


class Malformed(Exception):
    """What a strict reader refuses; the text says which rule was broken."""


class Incomplete(Exception):
    """The connection ended within a request that was well-formed so far."""


class Closed(Exception):
    """The peer closed where a request could end."""


class Reader:
    """Reads a connection and keeps the exact bytes of the request in `raw`."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""
        self.raw = b""

    def _more(self):
        try:
            data = self.connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Incomplete() if self.raw or self.buffer else Closed()
        self.buffer += data

    def until(self, end, limit):
        while end not in self.buffer:
            if len(self.buffer) > limit:
                raise Malformed("a line or head without an end")
            self._more()
        return self.exactly(self.buffer.index(end) + len(end))

    def exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        self.raw += taken
        return taken


def parse_head(head):
    """The request line and the fields of a head; Malformed for all that is not plain."""
    lines = head[:-4].split(b"\r\n")
    for line in lines:
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise Malformed("a bare CR, LF or NUL in the head")
    if not re.fullmatch(rb"[A-Z]+ [!-~]+ HTTP/1\.1", lines[0]):
        raise Malformed("request line: %r" % lines[0])
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise Malformed("field line: %r" % line)
        fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
    return lines[0].decode().split(" ")[:2], fields


def check_fields(fields):
    """Exactly one Host and at most one framing field."""
    names = [name for name, _ in fields]
    if names.count("host") != 1:
        raise Malformed("%d Host fields" % names.count("host"))
    if names.count("content-length") + names.count("transfer-encoding") > 1:
        raise Malformed("more than one framing field")
    for name, value in fields:
        if name == "content-length" and not re.fullmatch(r"[0-9]+", value):
            raise Malformed("Content-Length: %s" % value)
        if name == "transfer-encoding" and value != "chunked":
            raise Malformed("Transfer-Encoding: %s" % value)


def read_chunks(reader):
    body = b""
    while True:
        line = reader.until(b"\r\n", 100)
        if not re.fullmatch(rb"[0-9a-fA-F]+\r\n", line):
            raise Malformed("chunk line: %r" % line)
        size = int(line, 16)
        if size == 0:
            break
        body += reader.exactly(size)
        if reader.exactly(2) != b"\r\n":
            raise Malformed("no CRLF after chunk data")
    if reader.exactly(2) != b"\r\n":
        raise Malformed("trailers after the last chunk")
    return body


def read_body(reader, fields):
    values = dict(fields)
    if values.get("expect", "").lower() == "100-continue":
        reader.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "transfer-encoding" in values:
        return read_chunks(reader)
    return reader.exactly(int(values.get("content-length", "0")))


def record(entry):
    line = (json.dumps(entry) + "\n").encode()
    with LOCK:
        file = os.open(os.path.join(FOLDER, "requests"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(file, line)
        os.close(file)


def letters(count):
    return (b"abcdefghijklmnopqrstuvwxyz" * (count // 26 + 1))[:count]


def head(status, fields):
    text = "HTTP/1.1 %d %s\r\n" % (status, "Whatever")
    return (text + "".join("%s: %s\r\n" % field for field in fields) + "\r\n").encode("latin-1")


def plain(body, status=200, kind="text/plain"):
    return head(status, [("Content-Type", kind), ("Content-Length", len(body))]) + body


def wait_for_file(name):
    while not os.path.exists(os.path.join(FOLDER, "go", name)):
        time.sleep(0.005)


def about(number):
    facts = {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "connection": number,
    }
    return plain(json.dumps(facts).encode(), kind="application/json")


def send_events(connection, count):
    connection.sendall(head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]))
    for number in range(1, count + 1):
        wait_for_file("event-%d" % number)
        data = b"data: %d\n\n" % number
        connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
    connection.sendall(b"0\r\n\r\n")


def send_file(connection, name, query):
    with open(os.path.join(FOLDER, "answers", name), "rb") as file:
        connection.sendall(file.read())
    return query == "close"


def answer(connection, method, target, body, number):
    """Sends the response; True when the connection is to be closed after it."""
    path, _, query = target.partition("?")
    word, _, rest = path[1:].partition("/")
    count = int(rest) if rest.isdigit() else 0
    if word == "answer":
        return send_file(connection, rest, query)
    if word == "exit":
        os._exit(count)
    if word == "events":
        send_events(connection, count)
        return False
    if word == "wait":
        wait_for_file(rest)
    if word == "log":
        sys.stdout.write(rest + "\n")  # in one piece, which print() does not promise
        sys.stdout.flush()
    simple = {
        "status": lambda: plain(b"", count) if count not in (204, 304) else head(count, []),
        "bytes": lambda: plain(letters(count)),
        "chunked": lambda: head(200, [("Transfer-Encoding", "chunked")])
        + (b"%x\r\n%s\r\n" % (count, letters(count)) if count else b"")
        + b"0\r\n\r\n",
        "until-close": lambda: head(200, [("Connection", "close")]) + letters(count),
        "cut": lambda: head(200, [("Content-Length", count)]) + letters(count // 2),
        "echo": lambda: plain(body),
        "about": lambda: about(number),
    }
    response = simple.get(word, lambda: plain(b"recorded\n"))()
    if method == "HEAD":
        response = response[: response.index(b"\r\n\r\n") + 4]
    connection.sendall(response)
    return word in ("until-close", "cut")


def tunnel(connection, first):
    connection.sendall(head(101, [("Connection", "Upgrade"), ("Upgrade", "echo")]) + first)
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


def serve_one(reader, number):
    """One request of a connection; True when the connection ends with it."""
    reader.raw = b""
    text = reader.until(b"\r\n\r\n", 100_000)
    (method, target), fields = parse_head(text)
    check_fields(fields)
    body = read_body(reader, fields)
    if target.startswith("/recorder/up"):
        reader.connection.sendall(plain(b"up\n"))
        return False
    raw = base64.b64encode(reader.raw).decode()
    record({"connection": number, "pid": os.getpid(), "method": method, "target": target, "fields": fields,
            "body": body.decode("latin-1"), "raw": raw})
    if "upgrade" in dict(fields):
        tunnel(reader.connection, reader.buffer)
        return True
    return answer(reader.connection, method, target, body, number) or dict(fields).get("connection") == "close"


def refuse(reader, number, why):
    raw = base64.b64encode(reader.raw + reader.buffer).decode()
    record({"connection": number, "pid": os.getpid(), **why, "raw": raw})


def serve(connection, number):
    reader = Reader(connection)
    try:
        while not serve_one(reader, number):
            pass
    except Malformed as broken:
        refuse(reader, number, {"malformed": str(broken)})
        connection.sendall(plain(str(broken).encode() + b"\n", 400))
    except Incomplete:
        refuse(reader, number, {"incomplete": True})
    except (Closed, OSError):
        pass
    finally:
        connection.close()


def listen():
    path = os.environ.get("SOCKET")
    if path:
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(os.environ["PORT"])))
    listener.listen(512)
    return listener


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listener = listen()
    print("recorder is ready", flush=True)
    number = 0
    while True:
        connection, _ = listener.accept()
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        threading.Thread(target=serve, args=(connection, number), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
