"""A visitor of a lab's site with a constant rate, run within `outside` as `python3 -c SOURCE OPTIONS`.

Open loop: a request leaves when it is due, whatever became of those before. Where a server cannot be
connected to, the next address of the site is tried, as a browser does with the addresses of one name;
with `retry = "idempotent"` also when a connection ended before any byte of an answer, as browsers do
for GET. What then fails has failed. Every quarter of a second a line of JSON says how it goes; when
standard input ends the visitor leaves, after the requests in flight, with the whole result.
"""

import asyncio
import json
import sys
import time

OPTIONS = {
    "addresses": [], "port": 80, "host": "", "path": "/", "method": "GET", "body": "", "rate": 20.0,
    "timeout": 10.0, "connect_timeout": 1.0, "retry": "connect", "source": "", "statuses": [200], "contains": "",
}
IN_FLIGHT_MAX = 2000
FAILURES_KEPT = 100


class NotSent(Exception):
    """The server did nothing with the request."""


class Visitor:
    def __init__(self, options: dict):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            sys.exit("unknown options: %s" % sorted(unknown))
        self.__dict__.update(OPTIONS | options)
        self.began = self.last_good = time.monotonic()
        self.sent = self.good = self.failed = self.turn = 0
        self.longest_gap = 0.0
        self.failures: list[list] = []
        self.seconds: list[float] = []
        self.by_address = {address: 0 for address in self.addresses}

    def request(self) -> bytes:
        head = "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n" % (
            self.method, self.path, self.host or self.addresses[0])
        if self.body:
            head += "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n" % len(self.body)
        return (head + "\r\n" + self.body).encode()

    async def ask(self, address: str) -> bytes:
        """The whole answer of one server."""
        source = (self.source, 0) if self.source else None
        try:
            opened = asyncio.open_connection(address, self.port, local_addr=source)
            reader, writer = await asyncio.wait_for(opened, self.connect_timeout)
        except (OSError, asyncio.TimeoutError) as error:
            raise NotSent("connect: %s" % (error or "no answer")) from error
        try:
            writer.write(self.request())
            answer = await self.read(reader)
        finally:
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

    async def visit(self, due: float):
        first, self.turn = self.turn, self.turn + 1
        why = "no address"
        try:
            async with asyncio.timeout(self.timeout):
                for attempt in range(len(self.addresses)):
                    address = self.addresses[(first + attempt) % len(self.addresses)]
                    try:
                        why = self.judge(await self.ask(address))
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

    def judge(self, answer: bytes) -> str:
        if not answer:
            return "closed without an answer"
        status = int(answer.split(b" ", 2)[1])
        if status not in self.statuses:
            return "status %d" % status
        return "" if self.contains.encode() in answer else "without the text %r" % self.contains

    def count(self, due: float, why: str):
        now = time.monotonic()
        if why:
            self.failed += 1
            if len(self.failures) < FAILURES_KEPT:
                self.failures.append([round(due - self.began, 3), why])
            return
        self.good += 1
        self.seconds.append(now - due)
        self.note_gap(now)

    def note_gap(self, now: float):
        self.longest_gap = max(self.longest_gap, now - self.last_good)
        self.last_good = now

    def say(self, **more):
        print(json.dumps({"sent": self.sent, "good": self.good, "failed": self.failed, **more}), flush=True)

    def result(self) -> dict:
        times = sorted(self.seconds) or [0.0]
        return {"longest_gap": round(self.longest_gap, 3), "failures": self.failures, "by_address": self.by_address,
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
        task = loop.create_task(visitor.visit(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    visitor.note_gap(time.monotonic())
    visitor.say(**visitor.result())


if __name__ == "__main__":
    asyncio.run(until_told(Visitor(json.loads(sys.argv[1]))))
