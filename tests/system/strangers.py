"""Strangers at a port: connections that say nothing, and are opened anew as soon as they are closed.

    with Strangers([("127.0.0.2", 7402)], count=400, sources=["127.0.0.77"]) as strangers:
        …
    print(strangers.opened)
"""

import itertools
import select
import socket
import threading

TICK_SECONDS = 0.01


class Strangers:
    def __init__(self, targets: list[tuple[str, int]], count: int, sources: list[str]):
        self.count, self.opened = count, 0
        self._ways = itertools.cycle(itertools.product(sources, targets))
        self._held: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Strangers":
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        for one in self._held.values():
            one.close()

    def _run(self):
        while not self._ended.wait(TICK_SECONDS):
            for descriptor, _ in self._poll.poll(0):
                self._poll.unregister(descriptor)
                self._held.pop(descriptor).close()
            while len(self._held) < self.count:
                self._open()

    def _open(self):
        source, target = next(self._ways)
        one = socket.socket()
        one.setblocking(False)
        one.bind((source, 0))
        one.connect_ex(target)
        self.opened += 1
        self._held[one.fileno()] = one
        self._poll.register(one, select.POLLIN | select.POLLHUP | select.POLLERR)
