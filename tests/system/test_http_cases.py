"""Every case of tests/http/cases.toml through a running Terrace.

The app behind it records the exact bytes that it was sent. Besides what a case
says, this holds for every one of them: nothing malformed reaches the app (it
checks strictly: one Host, at most one framing field, no folding, no bare line
ends), and what reaches it was generated, never copied from the client.
"""

import re
import tomllib

import pytest
from client import Connection, ConnectionEnded, Response, Strict
from harness import ROOT, Site, wait_until

CASES_FILE = ROOT / "tests/http/cases.toml"
CHUNKED_REQUEST = b"POST /chunked-body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED_RESPONSE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CORES_COVERED = 6  # requests after which each core is likely to have had one; pools are per core
GENERATED_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?(?:[^ \t\r\n\0](?:[^\r\n\0]*[^ \t\r\n\0])?)?")


def to_bytes(value) -> bytes:
    """The bytes of a case: U+0000 to U+00FF, or a list of such texts with repetitions."""
    if isinstance(value, list):
        return b"".join(to_bytes(part) for part in value)
    if isinstance(value, dict):
        return to_bytes(value["text"]) * value["times"]
    return value.encode("latin-1")


def load(*sides: str) -> list:
    cases = tomllib.loads(CASES_FILE.read_text())["case"]
    chosen = [case for case in cases if case["side"] in sides and case.get("level") != "parser"]
    return [pytest.param(case, id="%s: %s: %s" % (case["side"], case["row"], case["name"])) for case in chosen]


@pytest.fixture(scope="module")
def site_of_all_cases():
    site = Site()
    try:
        site.start()
        yield site
    finally:
        site.close()


@pytest.fixture
def shared(request, site_of_all_cases):
    """One site for all cases. Its app answers what a case says."""
    request.node.sites = [site_of_all_cases]
    return site_of_all_cases


def exchange(site: Site, sent: bytes, half_close: bool = False):
    """What a client gets that sends these bytes: a Response, or the exception that ended it."""
    with site.connect() as connection:
        try:
            connection.send(sent)
            if half_close:
                connection.half_close()
        except ConnectionError:
            pass  # it has answered and closed; the answer can still be read
        try:
            response = connection.read_response("HEAD" if sent.startswith(b"HEAD ") else "GET")
            while response.status < 200 and response.status != 101:
                response = connection.read_response()
        except (ConnectionEnded, ConnectionError, Strict) as broken:
            return broken, True
        if response.status >= 400:
            return response, response["connection"] == "close" and connection.is_closed(5.0)
        return response, False


def upstream(site: Site) -> list[dict]:
    """What the app was sent since forget(). A request on another connection, answered
    after it, shows that nothing is still on its way."""
    site.get("/barrier")
    entries = [entry for entry in site.recorder.requests() if entry.get("target") != "/barrier"]
    for entry in entries:
        assert "malformed" not in entry, "malformed upstream: %r" % entry
        assert_generated(entry["raw"])
    return entries


def assert_generated(raw: bytes):
    """Each field line is `Name: value`, however the client had written it."""
    head, end, _ = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1:]
    for line in lines if end else lines[:-1]:
        assert GENERATED_LINE.fullmatch(line), "not generated: %r" % line


def complete(entries: list[dict]) -> list[dict]:
    return [entry for entry in entries if "incomplete" not in entry]


def is_error(answer) -> bool:
    """An error status, or an end that cannot be taken for a whole message."""
    return answer.status >= 400 if isinstance(answer, Response) else True


def assert_refused(site: Site, case: dict, sent: bytes, statuses: tuple[int, ...]):
    answer, closed = exchange(site, sent, case.get("half_close", False))
    assert isinstance(answer, Response), answer
    assert answer.status in statuses, answer.head
    # A path is refused after the head was parsed: the framing is certain, the connection can go on.
    assert closed or case["side"] == "path", "the connection stays open after %d" % answer.status
    assert not complete(upstream(site))


def assert_accepted(site: Site, case: dict, sent: bytes):
    answer, _ = exchange(site, sent, case.get("half_close", False))
    assert isinstance(answer, Response) and answer.status < 400, answer
    # `OPTIONS *` is about the server itself, which answers it (RFC 9110 section 9.3.7).
    expected = 0 if case.get("target") == "*" else case.get("upstream_requests", 1)
    # What stands behind the first may still be on its way when that is answered.
    if expected > 1:
        wait_until(lambda: len(complete(upstream(site))) >= expected, "the app has heard of all of them")
    entries = complete(upstream(site))
    assert len(entries) == expected, entries
    if entries:
        check_upstream(case, entries[0])


def check_upstream(case: dict, entry: dict):
    """What the case says about the request that the app sees."""
    if "body" in case:
        assert entry["body"].encode("latin-1") == to_bytes(case["body"])
    if "upstream_line" in case:
        assert entry["raw"].split(b"\r\n")[0] == to_bytes(case["upstream_line"])
    have = {(name, value) for name, value in entry["fields"]}
    names = {name for name, _ in have}

    def has(line: str) -> bool:
        name, _, value = line.partition(":")
        return (name.lower(), value[1:]) in have if value else name.lower() in names

    for line in case.get("upstream_has", []):
        assert has(line), (line, entry["fields"])
    for line in case.get("upstream_lacks", []):
        assert not has(line), (line, entry["fields"])


def check_request(site: Site, case: dict, sent: bytes, statuses: tuple[int, ...] | None):
    site.recorder.forget()
    expected = case.get("server_expect", case["expect"])
    if expected == "broken":
        answer, _ = exchange(site, sent, case.get("half_close", False))
        assert is_error(answer), answer
        assert not complete(upstream(site))
    elif expected == "ok":
        assert_accepted(site, case, sent)
    else:
        assert_refused(site, case, sent, statuses or (expected,))


@pytest.mark.parametrize("case", load("request"))
def test_request(shared, case):
    check_request(shared, case, to_bytes(case["bytes"]), None)


# Refused as the name of a file, but an application may use such names: it gets them as they came.
OPAQUE = ("/a%2fb", "/a%2Fb")


@pytest.mark.parametrize("case", load("path"))
def test_path(shared, case):
    if case["bytes"] in OPAQUE:
        case = {**case, "expect": "ok", "target": case["bytes"]}
    sent = b"GET " + to_bytes(case["bytes"]) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    check_request(shared, {**case, "body": ""}, sent, (case["expect"], 404))


@pytest.mark.parametrize("case", load("chunk"))
def test_chunked_request(shared, case):
    check_request(shared, case, CHUNKED_REQUEST + to_bytes(case["bytes"]), None)


def check_response(site: Site, case: dict, sent: bytes):
    """The app answers with these bytes: a client sees what the case says, and a connection
    to the app on which anything was wrong is not used again."""
    site.recorder.forget()
    path = site.recorder.answer("case", sent) + ("?close" if case.get("half_close") else "")
    expected = case.get("server_expect", case["expect"])
    # A GET whose connection breaks is sent again, for as long as a request may wait: that
    # is tested elsewhere. A POST is not, so that the answer is about this one response.
    method = case.get("request_method", "GET" if expected == "ok" else "POST")
    request = "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % (method, path)
    answer, _ = exchange(site, request.encode())
    if expected == "ok":
        assert isinstance(answer, Response), answer
        assert answer.status == case.get("server_status", case.get("status", 200)), answer.head
        if "body" in case:
            assert answer.body == to_bytes(case["body"])
        return
    assert is_error(answer), answer
    if expected != "broken":
        assert isinstance(answer, Response) and answer.status == expected, answer
    used = {(entry["pid"], entry["connection"]) for entry in upstream(site)}
    for _ in range(CORES_COVERED):
        site.get("/barrier")
    after = [entry for entry in site.recorder.requests() if entry.get("target") == "/barrier"]
    assert not [entry for entry in after if (entry["pid"], entry["connection"]) in used]


@pytest.mark.parametrize("case", load("response"))
def test_response(shared, case):
    check_response(shared, case, to_bytes(case["bytes"]))


@pytest.mark.parametrize("case", load("chunk"))
def test_chunked_response(shared, case):
    expect = case["expect"] if case["expect"] == "ok" else "broken"
    check_response(shared, {**case, "expect": expect}, CHUNKED_RESPONSE + to_bytes(case["bytes"]))


def test_bytes_after_a_response_are_never_taken_for_the_next_one(shared):
    """What a server sends unasked on an idle connection must not answer somebody else."""
    shared.recorder.forget()
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
    with shared.connect() as connection:
        for _ in range(3):
            assert connection.get(shared.recorder.answer("stray", stray)).body == b"hello"
            assert connection.get("/echo").body == b""


def test_a_request_byte_by_byte_is_the_same_request(shared):
    shared.recorder.forget()
    sent = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with Connection(shared.port) as connection:
        connection.send_split(sent)
        assert connection.read_response().body == b"abc"
    assert len(upstream(shared)) == 1
