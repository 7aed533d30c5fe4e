"""Ordinary visitors of test_lb_in_step.py: each request has a number of its own, and its answer must have the same.

    python3 numbered_visitor.py PORT REQUESTS CONNECTIONS FIRST SEED

Connections are kept. On each, one round follows the other: one GET, one POST, or several of both at once (pipelined).
The last line of output is JSON: answered, wrong (the answer of another request), failed (no answer, or another status;
a number whose connection ended counts once), and the first few of both.
"""

import asyncio
import json
import random
import sys

SECONDS = 60.0  # for one round
AT_ONCE_MAX = 6
BODY_SIZES = (1, 20, 300, 5000, 40_000)
KEPT = 20


class Visitors:
    def __init__(self, port: int, requests: int, first: int, seed: int):
        self.port, self.next, self.end = port, first, first + requests
        self.random = random.Random(seed)
        self.answered = self.wrong = self.failed = 0
        self.failures: list[str] = []

    def take(self) -> list[int]:
        count = self.random.choice((1, 1, 2, AT_ONCE_MAX))
        taken = list(range(self.next, min(self.next + count, self.end)))
        self.next += len(taken)
        return taken

    def request(self, number: int) -> tuple[bytes, bytes]:
        """What is sent, and the body of its answer."""
        text = b"%d" % number
        if self.random.random() < 0.6:
            return b"GET /number/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % text, text
        weights = (8, 8, 4, 2, 1)
        body = text + b" " * self.random.choices(BODY_SIZES, weights)[0] + text
        if self.random.random() < 0.3:
            framing, sent = b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            framing, sent = b"Content-Length: %d" % len(body), body
        return b"POST /number/%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%s" % (text, framing, sent), body

    async def keep_asking(self):
        streams = None
        while numbers := self.take():
            done = 0
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 17)
                async with asyncio.timeout(SECONDS):
                    asked = [self.request(number) for number in numbers]
                    streams[1].write(b"".join(sent for sent, _ in asked))
                    for number, (_, expected) in zip(numbers, asked):
                        await self.read(streams[0], number, expected)
                        done += 1
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
                self.failed += len(numbers) - done
                self.note("%d: %s %s" % (numbers[done], type(error).__name__, error))
                if streams:
                    streams[1].transport.abort()
                streams = None

    async def read(self, reader, number: int, expected: bytes):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200 ") or b"\r\nconnection: close" in head:
            raise ValueError(head)
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            body = await self.read_chunks(reader)
        else:
            body = await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        if body != expected:
            self.wrong += 1
            raise ValueError("%r… is the answer to %d" % (body[:60], number))
        self.answered += 1

    @staticmethod
    async def read_chunks(reader) -> bytes:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body

    def note(self, text: str):
        if len(self.failures) < KEPT:
            self.failures.append(text[:300])


async def main():
    port, requests, connections, first, seed = (int(word) for word in sys.argv[1:6])
    visitors = Visitors(port, requests, first, seed)
    await asyncio.gather(*(visitors.keep_asking() for _ in range(connections)))
    print(json.dumps({"answered": visitors.answered, "wrong": visitors.wrong, "failed": visitors.failed,
                      "failures": visitors.failures}))


if __name__ == "__main__":
    asyncio.run(main())
