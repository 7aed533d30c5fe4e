"""WebSockets that stay open, run within `outside` of a lab as `python3 -c SOURCE OPTIONS`.

So many are opened, one after the other, and each says something `rate` times a second and expects to hear
it again. One that closes, or hears nothing in time, has failed and is not opened again. Lines and end are
those of visitor.py; `sent` counts the messages.
"""

import asyncio
import json
import sys
import time

import websockets

OPTIONS = {"addresses": [], "port": 80, "host": "", "path": "/", "sockets": 8, "rate": 2.0, "timeout": 10.0}
SAID_EVERY = 0.25


class Sockets:
    def __init__(self, options: dict):
        unknown = set(options) - set(OPTIONS)
        if unknown:
            sys.exit("unknown options: %s" % sorted(unknown))
        self.__dict__.update(OPTIONS | options)
        self.began = time.monotonic()
        self.sent = self.good = self.failed = 0
        self.failures: list[list] = []
        self.seconds: list[float] = [0.0]
        self.by_name: dict[str, int] = {}

    def note_failure(self, why: str):
        self.failed += 1
        self.failures.append([round(time.monotonic() - self.began, 3), why])

    async def open(self, number: int):
        address = self.addresses[number % len(self.addresses)]
        url = "ws://%s:%d%s" % (self.host or address, self.port, self.path)
        return await websockets.connect(url, host=address, port=self.port, ping_interval=None,
                                        open_timeout=self.timeout, close_timeout=1.0)

    async def keep(self, number: int, told: asyncio.Event):
        name = "socket %d" % number
        try:
            socket = await self.open(number)
            name += " of %s" % socket.response_headers.get("X-Served-By", "nobody")
            served = socket.response_headers.get("X-Served-By", "")
            self.by_name[served] = self.by_name.get(served, 0) + 1
            while not told.is_set():
                await self.say_something(socket)
                await wait(told, 1.0 / self.rate)
            await socket.close()
        except (OSError, asyncio.TimeoutError, ValueError, websockets.WebSocketException) as error:
            self.note_failure("%s: %s %s" % (name, type(error).__name__, error))

    async def say_something(self, socket):
        began = time.monotonic()
        self.sent += 1
        text = "message %d" % self.sent
        await socket.send(text)
        heard = await asyncio.wait_for(socket.recv(), self.timeout)
        if heard != text:
            raise ValueError("%r came for %r" % (heard, text))
        self.good += 1
        self.seconds.append(time.monotonic() - began)

    def say(self, **more):
        print(json.dumps({"sent": self.sent, "good": self.good, "failed": self.failed, **more}), flush=True)


async def wait(told: asyncio.Event, seconds: float):
    try:
        await asyncio.wait_for(told.wait(), seconds)
    except asyncio.TimeoutError:
        pass


async def until_told(sockets: Sockets):
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, lambda: told.set() if not sys.stdin.buffer.raw.read(4096) else None)
    tasks = [asyncio.ensure_future(sockets.keep(number, told)) for number in range(sockets.sockets)]
    while not told.is_set() and sum(sockets.by_name.values()) + sockets.failed < sockets.sockets:
        await wait(told, 0.01)
    while not told.is_set():
        sockets.say()
        await wait(told, SAID_EVERY)
    await asyncio.wait(tasks)
    sockets.say(failures=sockets.failures, slowest=round(max(sockets.seconds), 4), by_name=sockets.by_name)


if __name__ == "__main__":
    asyncio.run(until_told(Sockets(json.loads(sys.argv[1]))))
