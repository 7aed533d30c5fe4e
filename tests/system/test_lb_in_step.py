"""Request k gets answer k: visitors with numbers through the load balancer, while others send it every request of
tests/http/cases.toml, and let its backends answer with every response of it. 20,000 requests; a million in ./test full.
"""

import itertools
import json
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest
from chain import App, Chain, Foreign, OwnServers
from test_http_cases import CHUNKED_REQUEST, CHUNKED_RESPONSE, load, to_bytes

HERE = Path(__file__).parent
REQUESTS = 500_000 if os.environ.get("SOAK_SECONDS") else 10_000  # through each of the chains
VISITORS = 2  # processes
CONNECTIONS = 8  # of each
ATTACKERS = 4
ANSWER_SECONDS = 0.5  # that an attacker waits
VISIT_SECONDS = 3000


def cases(side: str) -> list[dict]:
    return [one.values[0] for one in load(side)]


def requests() -> list[bytes]:
    """All that the table has for a server."""
    sent = [to_bytes(case["bytes"]) for case in cases("request")]
    sent += [b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % to_bytes(case["bytes"]) for case in cases("path")]
    return sent + [CHUNKED_REQUEST + to_bytes(case["bytes"]) for case in cases("chunk")]


def responses() -> list[tuple[bytes, bool]]:
    """What an app answers, and whether it closes then."""
    sent = [(to_bytes(case["bytes"]), case.get("half_close", False)) for case in cases("response")]
    return sent + [(CHUNKED_RESPONSE + to_bytes(case["bytes"]), False) for case in cases("chunk")]


class Attackers:
    """Send every attack again and again while the body of the `with` runs, some with an ordinary request behind it.
    A third of them does not wait for an answer."""

    def __init__(self, chain: Chain, seed: int):
        self.chain, self.random = chain, random.Random(seed)
        head = b"POST /attack/%d%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        self.attacks = requests()
        self.attacks += [head % (i, b"?close" if close else b"") for i, (_, close) in enumerate(responses())]
        self.random.shuffle(self.attacks)
        self.turn = itertools.cycle(self.attacks)
        self.sent = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._attack) for _ in range(ATTACKERS)]

    def __enter__(self) -> "Attackers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _next(self) -> tuple[bytes, bool]:
        with self.lock:
            self.sent += 1
            behind = b"GET /number/behind HTTP/1.1\r\nHost: localhost\r\n\r\n" if self.random.random() < 0.5 else b""
            return next(self.turn) + behind, self.random.random() < 0.7

    def _attack(self):
        while not self.ended.is_set():
            attack, waits = self._next()
            try:
                with self.chain.connect(deadline=ANSWER_SECONDS) as connection:
                    connection.send(attack)
                    if waits:
                        connection.socket.recv(65536)
            except OSError:
                pass


def visit(port: int, requests: int, first: int, seed: int) -> subprocess.Popen:
    words = (port, requests, CONNECTIONS, first, seed)
    return subprocess.Popen(["/usr/bin/python3", str(HERE / "numbered_visitor.py"), *(str(word) for word in words)],
                            stdout=subprocess.PIPE, text=True)


def attacked_app() -> App:
    return App(HERE / "numbered_app.py", {
        "ATTACKS": {"%06d" % i: sent for i, (sent, _) in enumerate(responses())},
        "MALFORMED": {},
    })


@pytest.fixture(params=[OwnServers, Foreign], ids=["own servers", "foreign backends"])
def chain(request):
    made = request.param(app=attacked_app())
    request.node.sites = made.sites
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.mark.soak
def test_every_answer_is_that_of_its_request_whatever_others_send(chain):
    seed = int(os.environ.get("TERRACE_SEED", random.randrange(1 << 30)))
    print("TERRACE_SEED=%d" % seed)
    each = REQUESTS // VISITORS
    with Attackers(chain, seed) as attackers:
        children = [visit(chain.port, each, i * each, seed + i) for i in range(VISITORS)]
        results = [json.loads(one.communicate(timeout=VISIT_SECONDS)[0].splitlines()[-1]) for one in children]
    print("%d attacks; %s" % (attackers.sent, results))
    assert [one["wrong"] for one in results] == [0] * VISITORS, results
    assert [one["failed"] for one in results] == [0] * VISITORS, results
    assert sum(one["answered"] for one in results) == REQUESTS
    assert not chain.malformed(), chain.malformed()
