"""/metrics on the admin address, in the form that Prometheus reads."""

import shutil
import subprocess
import time

import pytest

from client import Connection
from harness import wait_until

SECONDS = 20


def page(site) -> str:
    with Connection(site.admin_port) as connection:
        response = connection.get("/metrics", host="127.0.0.1")
    assert response.status == 200
    assert response["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return response.text


def wait_for_value(site, series: str, value: float):
    wait_until(lambda: site.metrics().get(series) == value, "%s = %g" % (series, value), SECONDS)


def test_requests_are_counted_by_class_and_by_what_served_them(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "hello"})
    before = site.metrics()
    for path in ("/", "/status/404", "/status/404", "/status/500", "/a.txt"):
        site.get(path)
    site.request("POST", "/echo", body=b"x" * 1000)

    def more(code: str, served_from: str) -> float:
        series = 'terrace_http_requests_total{code="%s",served_from="%s"}' % (code, served_from)
        return site.metrics()[series] - before[series]

    wait_until(lambda: more("2xx", "static") == 1, "the file counted", SECONDS)
    assert more("2xx", "app") == 2
    assert more("4xx", "app") == 2
    assert more("5xx", "app") == 1
    after = site.metrics()
    count = "terrace_http_request_duration_seconds_count"
    assert after[count] - before[count] == 6
    assert after['terrace_http_request_duration_seconds_bucket{le="+Inf"}'] == after[count]
    for direction in ("sent", "received"):
        series = "terrace_http_bytes_%s_total" % direction
        assert after[series] - before[series] >= 1000


def test_open_connections_and_requests_in_flight_go_up_and_down(site):
    assert site.metrics()["terrace_http_requests_in_flight"] == 0
    with site.connect() as connection:
        connection.send(b"GET /wait/now HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for_value(site, "terrace_http_requests_in_flight", 1)
        wait_for_value(site, 'terrace_instance_requests_in_flight{instance="app-1"}', 1)
        wait_for_value(site, "terrace_http_connections", 1)
        site.recorder.go("now")
        assert connection.read_response().status == 200
        wait_for_value(site, "terrace_http_requests_in_flight", 0)
    wait_for_value(site, "terrace_http_connections", 0)


def test_each_instance_has_its_series(make_site):
    site = make_site(app={"instances": 2})
    for name in ("app-1", "app-2"):
        wait_for_value(site, 'terrace_instance_up{instance="%s"}' % name, 1)
    before = site.metrics()
    for _ in range(10):
        site.get("/status/503")
    wait_until(lambda: errors(site.metrics()) - errors(before) == 10, "ten errors", SECONDS)


def errors(metrics: dict) -> float:
    return sum(metrics['terrace_instance_errors_total{instance="app-%d"}' % number] for number in (1, 2))


def test_refused_heads_are_counted_by_status(site):
    with site.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nBroken line\r\n\r\n")
        assert connection.read_response().status == 400
    wait_for_value(site, 'terrace_http_heads_refused_total{status="400"}', 1)


def test_the_worker_describes_itself(site):
    metrics = site.metrics()
    assert metrics["process_resident_memory_bytes"] > 1_000_000
    assert 0 < metrics["process_open_fds"] < metrics["process_max_fds"]
    assert metrics["process_start_time_seconds"] > 1_600_000_000
    assert any(series.startswith('terrace_build_info{version="') and 'site="test"' in series for series in metrics)


def test_promtool_finds_nothing_to_say(site):
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: apt-get install prometheus")
    site.get("/")
    done = subprocess.run(["promtool", "check", "metrics"], input=page(site), capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr


def test_the_admin_address_knows_nothing_else(site):
    with Connection(site.admin_port) as connection:
        assert connection.get("/", host="127.0.0.1").status == 404
    with site.connect() as connection:
        assert "terrace_http_requests_total" not in connection.get("/metrics").text


def test_serving_allocates_nothing_in_steady_state(make_site):
    """The worker's pools: frames, buffers, exchanges. Static files, the app and the access log."""
    site = make_site(web={"files": "public"}, files={"public/a.txt": "hello"})

    def serve(count: int):
        with site.connect() as connection:
            for _ in range(count):
                assert connection.get("/a.txt").status == 200
                assert connection.get("/bytes/100").status == 200

    series = "terrace_worker_allocations_total"
    for _ in range(8):  # connections land on either core: both get warm
        serve(20)
    time.sleep(0.3)  # counters are copied ten times a second
    before = site.metrics()[series]
    serve(500)
    time.sleep(0.3)
    assert site.metrics()[series] - before <= 20, "a new connection may cost a few, a thousand requests none"


def test_tunnels_retries_and_the_static_cache_are_counted(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "hello"})
    for _ in range(20):
        assert site.get("/a.txt").status == 200
    wait_for_more(site, "terrace_static_cache_hits_total")
    wait_for_more(site, "terrace_static_cache_misses_total")
    wait_for_more(site, "terrace_static_cache_entries")
    wait_for_more(site, "terrace_static_cache_bytes")
    with site.connect() as connection:
        connection.send(b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        assert connection.read_head().status == 101
        wait_for_value(site, "terrace_http_tunnels", 1)
    wait_for_value(site, "terrace_http_tunnels", 0)
    site.get("/exit/1")
    wait_for_more(site, "terrace_app_retries_total")


def test_requests_that_find_the_queue_full_are_counted(make_site):
    site = make_site(app={"connections_max": 1, "queue": 1, "queue_timeout": "20s"})
    waiting = [site.connect() for _ in range(8)]
    for connection in waiting:
        connection.send(b"GET /wait/turn HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for_more(site, "terrace_queue_overflows_total")
    site.recorder.go("turn")
    for connection in waiting:
        connection.close()


def wait_for_more(site, series: str):
    wait_until(lambda: site.metrics().get(series, 0) > 0, series + " above 0", SECONDS)
