"""Every case of tests/http/cases.toml through a load balancer: before web servers of the same site, which it reaches by
the encrypted hop, and before servers that Terrace does not run, by HTTP/1.1. What must hold is what test_http_cases.py
asks of one server: nothing malformed reaches an app, and a connection on which anything was wrong is not used again.
"""

import json

import pytest
import test_http_cases as one_server
from chain import Chain, Foreign, OwnServers
from test_http_cases import CHUNKED_REQUEST, load, to_bytes

# The apps answer with garbage here, which would keep one of them away for a while: that is tested elsewhere.
NO_EJECTION = "[lb]\neject_failures = 0\n"
CHAINS = {
    "own servers": lambda: OwnServers(settings=NO_EJECTION),
    "foreign backends": lambda: Foreign(lb={"eject_failures": 0}),
}


EJECTED_AFTER = 2  # failures in a row, where a test says so


@pytest.fixture(scope="module", params=CHAINS)
def chain_of_all_cases(request):
    chain = CHAINS[request.param]()
    try:
        chain.start().wait_until_all_answer()
        yield chain
    finally:
        chain.close()


@pytest.fixture
def chain(request, chain_of_all_cases) -> Chain:
    """One chain for all cases."""
    request.node.sites = chain_of_all_cases.sites
    return chain_of_all_cases


@pytest.mark.parametrize("case", load("request"))
def test_request(chain, case):
    if isinstance(chain, Foreign) and case.get("target") == "*":
        # Whether a foreign server knows OPTIONS of the whole server is its own affair.
        case = {**case, "target": "", "upstream_line": "OPTIONS * HTTP/1.1"}
    one_server.test_request(chain, case)


@pytest.mark.parametrize("case", load("path"))
def test_path(chain, case):
    one_server.test_path(chain, case)


@pytest.mark.parametrize("case", load("chunk"))
def test_chunked_request(chain, case):
    one_server.test_chunked_request(chain, case)


@pytest.mark.parametrize("case", load("response"))
def test_response(chain, case):
    one_server.test_response(chain, case)


@pytest.mark.parametrize("case", load("chunk"))
def test_chunked_response(chain, case):
    one_server.test_chunked_response(chain, case)


def test_bytes_after_a_response_are_never_taken_for_the_next_one(chain):
    one_server.test_bytes_after_a_response_are_never_taken_for_the_next_one(chain)


def test_a_request_byte_by_byte_is_the_same_request(chain):
    one_server.test_a_request_byte_by_byte_is_the_same_request(chain)


def states(chain: Chain) -> dict[str, str]:
    """What the load balancer thinks of each backend."""
    said = json.loads(chain.front.command("status", "--json", check=False).stdout)
    return {one["name"]: one["state"] for one in said["backends"]}


def eagerly_ejecting(kind: str) -> Chain:
    if kind == "foreign backends":
        return Foreign(lb={"eject_failures": EJECTED_AFTER})
    return OwnServers(settings="[lb]\neject_failures = %d\n" % EJECTED_AFTER)


@pytest.mark.parametrize("kind", CHAINS)
def test_nothing_that_a_client_sends_has_a_server_ejected(request, kind):
    """A request that our own servers refuse by cutting it off is a mistake of the load balancer that let it in."""
    chain = eagerly_ejecting(kind)
    request.node.sites = chain.sites
    try:
        chain.start().wait_until_all_answer()
        cases = [to_bytes(one.values[0]["bytes"]) for one in load("request")]
        cases += [CHUNKED_REQUEST + to_bytes(one.values[0]["bytes"]) for one in load("chunk")]
        for sent in cases:
            for _ in range(EJECTED_AFTER * len(chain.recorder.all)):
                status = chain.exchange(sent, seconds=0.1)
                assert status not in (502, 503, 504), sent
                if not status:
                    break  # it is not whole
        assert "ejected" not in states(chain).values()
    finally:
        chain.close()
