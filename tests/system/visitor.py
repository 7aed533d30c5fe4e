"""A visitor of a lab's site with a constant rate, run within `outside` as `python3 -c SOURCE OPTIONS`.

Open loop: a request leaves when it is due, whatever became of those before. Where a server cannot be
connected to, the next address of the site is tried, as a browser does with the addresses of one name;
with `retry = "idempotent"` also when a connection ended before any byte of an answer, as browsers do
for GET. What then fails has failed. With `connections` that many are kept open between requests, and a
request on one that the server closed is not asked again. `{id}` in `path` and `contains` is the number of
the request, so an answer that belongs to another request is a failure. `X-Served-By` says who answered.
Every quarter of a second a line of JSON says how it goes; when standard input ends the visitor leaves,
after the requests in flight, with the whole result.
"""

import asyncio
import json
import sys
import time

OPTIONS = {
    "addresses": [], "port": 80, "host": "", "path": "/", "method": "GET", "body": "", "rate": 20.0,
    "timeout": 10.0, "connect_timeout": 1.0, "retry": "connect", "source": "", "statuses": [200], "contains": "",
    "connections": 0,
}
IN_FLIGHT_MAX = 2000
FAILURES_KEPT = 100
SLOW_SECONDS = 0.5  # an answer that took longer was delayed by something
SERVED_BY = b"\r\nx-served-by:"


class NotSent(Exception):
    """The server did nothing with the request."""


class Visitor:
    def __init__(self, options: dict):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            sys.exit("unknown options: %s" % sorted(unknown))
        self.__dict__.update(OPTIONS | options)
        self.began = self.last_good = time.monotonic()
        self.sent = self.good = self.failed = self.turn = self.slow = 0
        self.longest_gap = self.slowest = self.slowest_at = 0.0
        self.failures: list[list] = []
        self.seconds: list[float] = []
        self.by_address = {address: 0 for address in self.addresses}
        self.by_name: dict[str, int] = {}
        self.kept: list[tuple] = []  # idle connections: address, reader, writer

    def request(self, number: int) -> bytes:
        head = "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n" % (
            self.method, self.path.replace("{id}", str(number)), self.host or self.addresses[0],
            "keep-alive" if self.connections else "close")
        if self.body:
            head += "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n" % len(self.body)
        return (head + "\r\n" + self.body).encode()

    async def connect(self, address: str):
        """A connection that was kept, or a new one."""
        for one in self.kept:
            if one[0] == address:
                self.kept.remove(one)
                return one[1:]
        source = (self.source, 0) if self.source else None
        try:
            opened = asyncio.open_connection(address, self.port, local_addr=source)
            return await asyncio.wait_for(opened, self.connect_timeout)
        except (OSError, asyncio.TimeoutError) as error:
            raise NotSent("connect: %s" % (error or "no answer")) from error

    async def ask(self, address: str, number: int) -> bytes:
        """The whole answer of one server."""
        reader, writer = await self.connect(address)
        answer = b""
        try:
            writer.write(self.request(number))
            answer = await self.read(reader)
        finally:
            if answer and len(self.kept) < self.connections and b"\r\nconnection: close" not in answer.lower():
                self.kept.append((address, reader, writer))
            else:
                writer.transport.abort()
        if not answer and self.retry == "idempotent":
            raise NotSent("closed without an answer")
        return answer

    async def read(self, reader) -> bytes:
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if lengths:
                return answer + await reader.readexactly(int(lengths[0].split(b":")[1]))
            return answer + await reader.read()
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return b""
        except ConnectionResetError:
            return b""

    async def visit(self, due: float, number: int):
        first, self.turn = self.turn, self.turn + 1
        why = "no address"
        try:
            async with asyncio.timeout(self.timeout):
                for attempt in range(len(self.addresses)):
                    address = self.addresses[(first + attempt) % len(self.addresses)]
                    try:
                        why = self.judge(await self.ask(address, number), number)
                        if not why:
                            self.by_address[address] += 1
                        break
                    except NotSent as error:
                        why = "%s: %s" % (address, error)
        except TimeoutError:
            why = "no answer in %g s" % self.timeout
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            why = "%s: %s" % (type(error).__name__, error)
        self.count(due, why)

    def judge(self, answer: bytes, number: int) -> str:
        if not answer:
            return "closed without an answer"
        status = int(answer.split(b" ", 2)[1])
        if status not in self.statuses:
            return "status %d" % status
        text = self.contains.replace("{id}", str(number))
        if text.encode() not in answer:
            return "without the text %r" % text
        self.note_name(answer)
        return ""

    def note_name(self, answer: bytes):
        head = answer.partition(b"\r\n\r\n")[0].lower() + b"\r\n"
        if SERVED_BY in head:
            name = head.partition(SERVED_BY)[2].partition(b"\r\n")[0].strip().decode()
            self.by_name[name] = self.by_name.get(name, 0) + 1

    def count(self, due: float, why: str):
        now = time.monotonic()
        if why:
            self.failed += 1
            if len(self.failures) < FAILURES_KEPT:
                self.failures.append([round(due - self.began, 3), why])
            return
        self.good += 1
        if now - due > self.slowest:
            self.slowest, self.slowest_at = now - due, due - self.began
        self.seconds.append(now - due)
        self.slow += now - due > SLOW_SECONDS
        self.note_gap(now)

    def note_gap(self, now: float):
        self.longest_gap = max(self.longest_gap, now - self.last_good)
        self.last_good = now

    def say(self, **more):
        print(json.dumps({"sent": self.sent, "good": self.good, "failed": self.failed, **more}), flush=True)

    def result(self) -> dict:
        times = sorted(self.seconds) or [0.0]
        return {"longest_gap": round(self.longest_gap, 3), "failures": self.failures, "by_address": self.by_address,
                "by_name": self.by_name, "slow": self.slow, "slowest": round(times[-1], 4),
                "slowest_at": round(self.slowest_at, 3),
                "p50": round(times[len(times) // 2], 4), "p99": round(times[len(times) * 99 // 100], 4)}


async def until_told(visitor: Visitor):
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(sys.stdin, lambda: told.set() if not sys.stdin.buffer.raw.read(4096) else None)
    tasks: set = set()
    last_said = 0.0
    while not told.is_set():
        due = visitor.began + visitor.sent / visitor.rate
        pause = due - time.monotonic()
        if pause > 0:
            try:
                await asyncio.wait_for(told.wait(), min(pause, 0.25))
            except asyncio.TimeoutError:
                pass
        if due - visitor.began >= last_said + 0.25:
            last_said = due - visitor.began
            visitor.say()
        if time.monotonic() < due or told.is_set():
            continue
        visitor.sent += 1
        if len(tasks) >= IN_FLIGHT_MAX:
            visitor.count(due, "the visitor has too many requests in flight")
            continue
        task = loop.create_task(visitor.visit(due, visitor.sent))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    visitor.note_gap(time.monotonic())
    visitor.say(**visitor.result())


if __name__ == "__main__":
    asyncio.run(until_told(Visitor(json.loads(sys.argv[1]))))
