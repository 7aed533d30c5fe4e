"""The load balancer in front of backends that Terrace does not run: one server with the role `lb`, and backends
in threads of the test (backend.py). What several servers of a site do behind it: tests/scenarios/lb-*.toml."""

import json
import socket
import struct
import threading
import time
from collections import Counter

import pytest
from backend import CHECK, Backend
from client import ConnectionEnded, Load
from harness import wait_until

INTERVAL = 0.2
FALL = 3
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture
def backends():
    three = [Backend(name) for name in "abc"]
    yield three
    for one in three:
        one.kill()
        one.go_on.set()


def tables(backends: list, lb: dict | None = None, of_backend: dict | None = None, **more) -> dict:
    named = {one.name: {"address": one.address, **((of_backend or {}).get(one.name, {}))} for one in backends}
    settings = {"check": CHECK, "check_interval": "%dms" % (INTERVAL * 1000), "check_fall": FALL, "slow_start": "0s"}
    return {"app": None, "db": None, "lb": settings | (lb or {}), "lb.backends": named,
            "servers": {"main": {"address": "203.0.113.7", "roles": ["lb"]}}, **more}


@pytest.fixture
def balance(make_site, backends):
    """A function that starts a load balancer before the first `count` of the backends, all of them up."""

    def make(count: int = 3, lb: dict | None = None, of_backend: dict | None = None, **more):
        used = backends[:count]
        site = make_site(**tables(used, lb, of_backend, **more))
        names = {one.name for one in used}
        wait_until(lambda: {name for name, one in known(site).items() if one["state"] == "up"} == names, "all are up")
        for one in used:
            one.requests.clear()
        return site

    return make


def known(site) -> dict:
    """What `terrace status` says of each; of none before the site has started."""
    said = json.loads(site.command("status", "--json", check=False).stdout)
    return {one["name"]: one for one in said.get("backends", [])}


def becomes(site, name: str, *states: str):
    return wait_until(lambda: (lambda one: one if one and one["state"] in states else None)(known(site).get(name)),
                      "%s is %s" % (name, " or ".join(states)))


def ask(site, count: int, path: str = "/?id=%d", **options) -> Counter:
    """Who answered so many requests on one connection; every answer is that of its own request."""
    answered = Counter()
    with site.connect() as connection:
        for number in range(count):
            response = connection.get(path % number if "%d" in path else path, **options)
            assert response.status == 200, response
            if "%d" in path:
                assert response.text.endswith(" answers %d\n" % number)
            answered[response["x-served-by"]] += 1
    return answered


# ---- balancing


def test_all_get_the_same_number_of_requests_but_for_one(balance):
    answered = ask(balance(), 100)
    assert sorted(answered.values()) == [33, 33, 34]


def test_weights_are_kept_and_nobody_asks_at_weight_zero(balance):
    assert ask(balance(of_backend={"a": {"weight": 3}, "c": {"weight": 0}}), 100) == {"a": 75, "b": 25}


def test_weights_change_while_it_runs(balance, backends):
    site = balance()
    site.write(**tables(backends, of_backend={"a": {"weight": 2}}))
    site.command("reload")
    wait_until(lambda: ask(site, 40) == {"a": 20, "b": 10, "c": 10}, "the new weights")


def test_one_that_is_ten_times_slower_gets_about_a_tenth(balance, backends):
    site = balance(2, {"balance": "least-latency"})
    backends[0].seconds, backends[1].seconds = 0.02, 0.2
    with Load(site.port, "/", rate=100, clients=24) as load:
        load.until(700)
    assert not load.result.failures, load.result
    fast, slow = (len(one.requests) for one in backends[:2])
    print("the slow one got %d of %d" % (slow, fast + slow))
    assert 0.03 <= slow / (fast + slow) <= 0.2


def test_the_same_client_or_session_meets_the_same_backend(balance):
    site = balance(lb={"balance": "consistent-hash", "hash": "cookie:session"})
    met = {}
    for session in range(30):
        names = ask(site, 4, fields={"Cookie": "other=x; session=%d" % session})
        assert len(names) == 1
        met[session] = next(iter(names))
    assert set(met.values()) == {"a", "b", "c"}


def test_ip_hash_keeps_a_client_with_its_backend(balance):
    site = balance(lb={"balance": "ip-hash"})
    assert len(ask(site, 20)) == 1 and ask(site, 5) == ask(site, 5)


def test_a_sticky_client_stays_until_its_backend_dies(balance, backends):
    site = balance(lb={"sticky": True})
    with site.connect() as connection:
        first = connection.get("/")
        name, cookie = first["x-served-by"], first["set-cookie"].partition(";")[0]
        answers = [connection.get("/", {"Cookie": cookie}) for _ in range(9)]
        assert {one["x-served-by"] for one in answers} == {name}
        backends["abc".index(name)].kill()
        moved = connection.get("/", {"Cookie": cookie})
        assert moved.status == 200 and moved["x-served-by"] != name and moved["set-cookie"]
        forged = connection.get("/", {"Cookie": cookie[:-4] + "AAAA"})
        assert forged.status == 200 and forged["set-cookie"]


def test_pools_take_requests_by_host_and_path(balance, backends):
    pools = {"api": {"servers": ["c"], "paths": ["/api/*"]}, "old": {"servers": ["b"], "hosts": ["old.example.com"]}}
    site = balance(**{"lb.pools": pools})
    assert ask(site, 3, "/api/entries") == {"c": 3}
    assert ask(site, 3, host="old.example.com") == {"b": 3}
    assert ask(site, 3) == {"a": 3}


def test_what_no_pool_takes_is_answered_at_once(balance, backends):
    site = balance()
    pools = {"api": {"servers": ["a", "b", "c"], "paths": ["/api/*"]}}
    site.write(**tables(backends, **{"lb.pools": pools}))
    site.command("reload")
    pools_of = lambda: {one["pool"] for one in json.loads(site.command("status", "--json").stdout)["backends"]}  # noqa: E731
    wait_until(lambda: pools_of() == {"api"}, "nobody is in no pool")
    assert sum(ask(site, 6, "/api/entries").values()) == 6
    began = time.monotonic()
    assert site.get("/").status == 503
    assert time.monotonic() - began < 5  # of ten that it would wait for a server


# ---- failures


def test_after_a_kill_no_idempotent_request_fails(balance, backends):
    site = balance()
    with Load(site.port, "/", rate=200, resend=False) as kept, Load(site.port, "/", rate=50, fresh=True) as fresh:
        kept.until(100)
        backends[1].kill()
        becomes(site, "b", "down", "ejected")
        kept.until(100)
        backends[1].listen()
        becomes(site, "b", "up")
        kept.until(100)
    print("kept: %s\nfresh: %s" % (kept.result, fresh.result))
    assert not kept.result.failures and not fresh.result.failures, (kept.result, fresh.result)


def test_what_may_not_be_done_twice_is_not_asked_twice(balance, backends):
    site = balance(2)
    for one in backends[:2]:
        one.instead = b""  # closes without an answer, after it has read the request
    with site.connect() as connection:
        assert connection.request("POST", "/order", body=b"one").status == 502
    assert sum(one.targets().count("/order") for one in backends) == 1
    with site.connect() as connection:
        assert connection.get("/order").status == 502
    assert sum(one.targets().count("/order") for one in backends) >= 3


def test_what_nobody_has_seen_is_sent_to_another(balance, backends):
    site = balance(2, {"check_interval": "1m"})
    backends[0].kill()
    for number in range(10):
        with site.connect() as connection:
            assert connection.request("POST", "/order?%d" % number, body=b"x" * 100).status == 200
    assert len(backends[1].requests) == 10 and {one.body for one in backends[1].requests} == {b"x" * 100}


def test_a_silent_one_delays_only_what_is_in_flight_there(balance, backends):
    site = balance()
    bound = INTERVAL * FALL
    with Load(site.port, "/", rate=60, clients=30, resend=False) as load:
        load.until(60)
        backends[2].silent = True
        began = time.monotonic()
        becomes(site, "c", "down")
        found = time.monotonic() - began
        load.until(200)
        backends[2].silent = False
        backends[2].go_on.set()
        becomes(site, "c", "up")
        load.until(60)
    print("found after %.2f s; the longest stall was %.2f s" % (found, load.result.slowest))
    assert not load.result.failures, load.result
    assert load.result.slowest <= 3 * bound, load.result


def test_without_any_the_page_comes_within_the_limit_of_the_queue_and_they_come_back(balance, backends):
    site = balance(lb={"queue_timeout": "500ms"})
    for one in backends:
        one.kill()
    for name in "abc":
        becomes(site, name, "down", "ejected")
    for _ in range(3):
        began = time.monotonic()
        with site.connect() as connection:
            answer = connection.get("/")
        assert answer.status == 503 and b"503" in answer.body and answer["content-type"].startswith("text/html")
        assert time.monotonic() - began <= 3 * 0.5
    for one in backends:
        one.listen()
    wait_until(lambda: site.get("/").status == 200, "they are back")
    wait_until(lambda: sorted(ask(site, 30)) == ["a", "b", "c"], "all of them serve")


def test_who_goes_and_comes_is_in_the_log(balance, backends):
    site = balance(lb={"queue_timeout": "500ms", "maintenance_page": "<h1>Back soon</h1>"})
    assert "a backend is" not in site.log()
    for one in backends:
        one.kill()
    wait_until(lambda: all("a backend is down backend=%s" % name in site.log() for name in "abc"), "all are down")
    answer = site.get("/")
    assert (answer.status, answer.text) == (503, "<h1>Back soon</h1>")
    assert (answer["cache-control"], answer["retry-after"]) == ("no-store", "10")
    backends[0].listen()
    wait_until(lambda: "a backend is up backend=a" in site.log(), "one is up again")
    assert site.log().count("backend=a ") == 2


def test_one_that_answers_500_is_ejected_and_comes_back(balance, backends):
    site = balance(lb={"eject_time": "3s"})  # long enough to be seen
    backends[0].status = 500
    with site.connect() as connection:
        statuses = Counter(connection.get("/").status for _ in range(90))
    assert statuses[500] <= 25, statuses  # five in a row, and what comes until all cores know
    one = becomes(site, "a", "ejected")
    assert "5xx" in one["reason"] or "error" in one["reason"], one
    assert backends[0].healthy
    backends[0].status = 200
    becomes(site, "a", "up")
    assert 9 <= ask(site, 30)["a"] <= 11


def test_what_fails_everywhere_ejects_nobody(balance, backends):
    site = balance()
    for one in backends:
        one.status = 500
    with site.connect() as connection:
        assert {connection.get("/").status for _ in range(60)} == {500}
    # A check may have seen it meanwhile, which is another matter.
    assert "ejected" not in {one["state"] for one in known(site).values()}


@pytest.mark.parametrize("after", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"\r\n" * 3])
def test_one_that_says_more_than_its_answer_gets_no_second_request_on_that_connection(balance, backends, after):
    site = balance(1)
    backends[0].after = after
    with site.connect() as connection:
        for number in range(20):
            answer = connection.get("/?id=%d" % number)
            assert (answer.status, answer.text) == (200, "a answers %d\n" % number)
    per_connection = Counter(one.connection for one in backends[0].requests)
    assert set(per_connection.values()) == {1}, per_connection


@pytest.mark.parametrize("broken", [
    b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nContent Length: 1\r\n\r\nx", b"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx",
])
def test_an_answer_that_is_none_is_never_passed_on(balance, backends, broken):
    site = balance(2)
    backends[0].instead = broken
    with site.connect() as connection:
        statuses = {connection.request("POST", "/", body=b"x").status for _ in range(4)}
    assert statuses <= {200, 502} and 502 in statuses


def test_an_answer_that_is_cut_off_is_seen_to_be_so(balance, backends):
    """A short one never begins: it is held back until it is here whole, and asked for again."""
    site = balance(1)
    backends[0].instead = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500
    assert site.get("/").status == 502
    backends[0].instead = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 500_000
    with site.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.read_head().status == 200
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            connection.read_exactly(1_000_000)


# ---- who stands by


@pytest.mark.parametrize("returns", [True, False])
def test_nobody_asks_a_standby_until_the_failure(balance, backends, returns):
    site = balance(lb={"mode": "active-passive", **({} if returns else {"return": False})})
    assert ask(site, 60) == {"a": 60}
    assert known(site)["b"]["standby"] and not known(site)["a"]["standby"]
    with Load(site.port, "/", rate=100, resend=False) as load:
        load.until(50)
        assert not backends[1].requests and not backends[2].requests
        backends[0].kill()
        becomes(site, "a", "down", "ejected")
        load.until(50)
        backends[0].listen()
        becomes(site, "a", "up")
        load.until(50)
    assert not load.result.failures, load.result
    assert not backends[2].requests
    wait_until(lambda: ask(site, 10) == {"a" if returns else "b": 10}, "whose turn it is")


# ---- limits


def test_a_client_that_asks_too_fast_is_told_when_to_come_again(balance):
    site = balance(lb={"client_rate": 1, "client_burst": 5})
    with site.connect() as connection:
        answers = [connection.get("/") for _ in range(20)]
    assert [one.status for one in answers[:3]] == [200] * 3  # who waited for the site has asked, too
    refused = [one for one in answers if one.status == 429]
    assert len(refused) >= 13 and int(refused[0]["retry-after"]) >= 1


def test_a_client_has_so_many_requests_at_once(balance, backends):
    site = balance(1, {"client_requests": 2})
    backends[0].seconds = 0.5
    statuses = at_once(site, 10)
    assert statuses == {200: 2, 429: 8}


def test_a_client_has_its_rate_once_however_many_connections_it_has(balance, backends):
    rate, burst, connections, seconds = 20, 40, 16, 2
    site = balance(1, {"client_rate": rate, "client_burst": burst})
    statuses, retry_after, stop = Counter(), set(), time.monotonic() + seconds

    def one():
        with site.connect() as connection:
            while time.monotonic() < stop:
                answer = connection.get("/")
                statuses[answer.status] += 1
                if answer.status == 429:
                    retry_after.add(answer["retry-after"])

    began = time.monotonic()
    threads = [threading.Thread(target=one) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    assert set(statuses) == {200, 429} and retry_after == {"1"}
    assert rate * seconds <= statuses[200] <= burst + rate * took + 1, (statuses, took)
    assert len(backends[0].requests) == statuses[200]
    wait_until(lambda: site.metrics()["terrace_clients_limited_total"] == statuses[429], "the metric")
    assert site.metrics()["terrace_clients_unlimited_total"] == 0


def test_a_change_of_the_rates_holds_for_those_who_are_counted(balance, backends):
    site = balance(1, {"client_rate": 1, "client_burst": 50, "client_requests": 1})
    backends[0].seconds = 3
    with site.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: len(backends[0].requests) == 1, "the request is at the backend")
        backends[0].seconds = 0
        site.write(**tables(backends[:1], {"client_rate": 1000, "client_requests": 2}))
        site.command("reload")
        began = time.monotonic()
        wait_until(lambda: at_once(site, 1) == {200: 1}, "one more beside it")
        assert time.monotonic() - began < 2 and connection.read_response().status == 200
        site.write(**tables(backends[:1], {"client_requests": 1}))
        site.command("reload")
        statuses = [connection.get("/").status for _ in range(100)]
    assert statuses == [200] * 100, "no count was left behind"


def test_what_exceeds_the_connections_of_a_backend_waits_and_the_queue_has_an_end(balance, backends):
    site = balance(1, {"connections_max": cores(), "queue": 2 * cores(), "queue_timeout": "5s"})
    backends[0].seconds = 0.2
    began = time.monotonic()
    statuses = at_once(site, 30)
    print(statuses, "in %.1f s" % (time.monotonic() - began))
    assert set(statuses) == {200, 503} and 3 <= statuses[200] <= 4 * cores()
    wait_until(lambda: site.metrics()["terrace_queue_overflows_total"] == statuses[503], "they are counted")


def test_without_a_queue_nobody_waits(balance, backends):
    site = balance(1, {"connections_max": cores(), "queue": 0})
    backends[0].seconds = 2.0
    statuses = at_once(site, 20)
    assert set(statuses) == {200, 503} and statuses[200] <= cores(), statuses


def test_who_waits_leaves_at_the_deadline(balance, backends):
    site = balance(1, {"connections_max": cores(), "queue_timeout": "300ms"})
    backends[0].seconds = 2.0
    began = time.monotonic()
    statuses = at_once(site, 20)
    assert statuses[503] >= 20 - 2 * cores() and time.monotonic() - began < 10
    assert statuses[200] <= 2 * cores()


def cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


def at_once(site, count: int) -> Counter:
    """The statuses of so many requests that are made together, each on a connection of its own."""
    statuses = Counter()
    lock = threading.Lock()

    def one():
        with site.connect() as connection:
            status = connection.get("/").status
        with lock:
            statuses[status] += 1

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


# ---- what passes


def test_a_backend_is_told_who_asks_and_what_for(balance, backends):
    site = balance(1)
    with site.connect() as connection:
        connection.request("POST", "/a%20b?c=d", {"X-Forwarded-For": "192.0.2.1", "Accept": "x/y"}, b"body",
                           host="shop.example.com")
    asked = backends[0].requests[0]
    assert (asked.method, asked.target, asked.body) == ("POST", "/a%20b?c=d", b"body")
    assert asked.fields["host"] == "shop.example.com" and asked.fields["accept"] == "x/y"
    assert asked.fields["x-forwarded-for"] == "127.0.0.1" and asked.fields["x-forwarded-proto"] == "http"
    assert asked.fields["x-request-id"]


def test_large_bodies_pass_both_ways(balance, backends):
    site = balance(1)
    much = bytes(range(256)) * 40_000
    with site.connect() as connection:
        assert connection.request("PUT", "/", body=much).status == 200
    assert backends[0].requests[0].body == much
    backends[0].instead = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(much) + much
    with site.connect() as connection:
        assert connection.get("/").body == much


def test_a_websocket_stays_open_while_the_file_changes(balance, backends):
    site = balance()
    with site.connect() as connection:
        answer = connection.get("/", {"Connection": "Upgrade", "Upgrade": "echo"})
        assert answer.status == 101
        for settings in ({"balance": "least-connections"}, {"mode": "active-passive"}, {"sticky": True}):
            site.write(**tables(backends, settings))
            site.command("reload")
            connection.send(b"still here")
            assert connection.read_exactly(10) == b"still here"


def test_the_proxy_header_names_the_client_in_and_out(make_site):
    with Backend("a", proxy=True) as backend:
        site = make_site(start=False, **tables(
            [backend], {"proxy_from": ["127.0.0.0/8"], "check": "tcp"}, {"a": {"proxy": True}}))
        site.start(wait=False)
        client = struct.pack(">4s4sHH", socket.inet_aton("192.0.2.9"), socket.inet_aton("127.0.0.1"), 40000, 80)
        header = SIGNATURE + b"\x21\x11\x00\x0c" + client

        def answered() -> bool:
            try:
                with site.connect() as connection:
                    connection.send(header)
                    return connection.get("/?id=1").status == 200
            except (OSError, EOFError):
                return False

        wait_until(answered, "an answer")
        asked = backend.requests[-1]
        assert asked.fields["x-forwarded-for"] == "192.0.2.9"
        assert asked.first[:12] == SIGNATURE and socket.inet_aton("192.0.2.9") in asked.first
        with site.connect() as connection:  # without the header
            connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.is_closed()
        site.wait_for_log("has no PROXY header, and is closed from=127.0.0.1")
