"""What a user's application lives through behind Terrace: streams, tunnels, slow
peers, instances that die, reloads and restarts under load."""

import json
import os
import re
import signal
import threading
import time

import pytest
from client import Connection, Load
from harness import wait_until

UPGRADE = b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def resident_bytes(pid: int) -> int:
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


def worker_of(site) -> int:
    return site.find("worker")[0].pid


def instances_of(site) -> list[int]:
    """The pids of the app's own processes: those that run the recorder."""
    return [one.pid for one in site.find("recorder.py") if "sh -c" not in one.title and "init" not in one.title]


def open_tunnel(site) -> Connection:
    connection = site.connect()
    connection.send(UPGRADE)
    head = connection.read_head()
    assert head.status == 101
    assert head["upgrade"] == "echo"
    return connection


def echoes(tunnel: Connection, text: bytes) -> bool:
    tunnel.send(text)
    return tunnel.read_exactly(len(text)) == text


# ---- streams ------------------------------------------------------------------


def test_server_sent_events_arrive_one_by_one(site):
    with site.connect() as connection:
        connection.send(b"GET /events/3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.read_head().status == 200, "the head comes before the first event"
        for number in (1, 2, 3):
            site.recorder.go("event-%d" % number)
            assert connection.read_chunk(), "event %d arrives before the next is made" % number
        assert connection.read_chunk() == b""


def test_a_slow_reader_holds_the_app_back_and_not_the_memory(site):
    pid = worker_of(site)
    assert site.get("/bytes/1000").status == 200
    before = resident_bytes(pid)
    with site.connect() as connection:
        connection.send(b"GET /bytes/300000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.read_head().status == 200
        connection.read_exactly(1000)
        for _ in range(5):
            assert site.get("/bytes/1000").status == 200, "others are served meanwhile"
        assert resident_bytes(pid) - before < 30 << 20
        assert len(connection.read_exactly(5_000_000)) == 5_000_000, "it goes on when the client reads"


LOOK_SECONDS = 0.5  # Connection::kLookForClient


def requests_at(site) -> float:
    """That wait for an answer of the instance."""
    return site.metrics()['terrace_instance_requests_in_flight{instance="app-1"}']


def test_who_resets_the_connection_ends_the_request_and_who_only_ends_its_side_is_answered(site):
    with site.connect() as patient, site.connect() as gone:
        patient.send(b"GET /wait/patient HTTP/1.1\r\nHost: localhost\r\n\r\n")
        patient.half_close()
        gone.send(b"GET /wait/gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: requests_at(site) == 2, "both at the app")
        gone.reset()
        began = time.monotonic()
        wait_until(lambda: requests_at(site) == 1, "the end of the one", 3 * LOOK_SECONDS)
        print("ended after %.2f s" % (time.monotonic() - began))
        site.recorder.go("patient")
        assert patient.read_response().status == 200
    site.recorder.go("gone")


UNREADING = """
import os, socket, threading
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=64)
def serve(client):
    data = client.recv(65536)
    if data.startswith(b"POST"):
        threading.Event().wait()
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
    client.close()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def test_an_app_that_does_not_read_holds_the_client_back_and_not_the_memory(make_site):
    site = make_site(files={"unreading.py": UNREADING}, app={"run": "/usr/bin/python3 unreading.py"},
                     web={"body_max": "1GB"})
    pid = worker_of(site)
    before = resident_bytes(pid)
    with site.connect() as connection:
        connection.socket.settimeout(1.0)
        connection.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n\r\n")
        sent = 0
        with pytest.raises(OSError):
            while sent < 500_000_000:
                sent += connection.socket.send(b"x" * 1_000_000)
        assert sent < 100_000_000, "the upload stalls"
        assert resident_bytes(pid) - before < 30 << 20
        assert site.get("/").status == 200
    site.kill("unreading.py")


def test_a_large_upload_arrives_whole_both_ways_framed(site):
    body = bytes(range(256)) * 8192
    response = site.request("POST", "/echo", body=body)
    assert response.body == body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:70000], body[70000:]))
    with site.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert connection.read_response().body == body


def test_a_client_that_ends_its_side_still_gets_its_answer(site):
    with site.connect() as connection:
        connection.send(b"GET /wait/answer HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.half_close()
        site.recorder.wait_for(1)
        site.recorder.go("answer")
        assert connection.read_response().status == 200


def test_http_1_0_clients_get_no_chunks(site):
    with site.connect() as connection:
        connection.send(b"GET /chunked/5000 HTTP/1.0\r\n\r\n")
        everything = connection.read_to_end()
    head, _, body = everything.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and b"chunked" not in head.lower()
    assert len(body) == 5000


def test_a_body_that_the_app_cuts_short_is_an_error_for_the_client(site):
    with site.connect() as connection:
        connection.send(b"GET /cut/1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(Exception):
            connection.read_response()


def test_an_expected_continue_is_sent_before_the_body(site):
    with site.connect() as connection:
        connection.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert connection.read_head().status == 100
        connection.send(b"hello")
        assert connection.read_response().body == b"hello"


# ---- tunnels --------------------------------------------------------------------


def test_a_websocket_carries_bytes_both_ways(site):
    with open_tunnel(site) as tunnel:
        for size in (1, 1000, 100_000):
            assert echoes(tunnel, b"x" * size)
        tunnel.half_close()
        assert tunnel.read_to_end() == b""


def test_a_websocket_survives_a_reload(site):
    with open_tunnel(site) as tunnel:
        site.write(web={"headers": {"X-New": "yes"}})
        site.command("reload")
        wait_until(lambda: site.get("/")["x-new"] == "yes", "the new header")
        assert echoes(tunnel, b"still here")


# ---- what the app is told ---------------------------------------------------------


def fields_seen(site, sent) -> dict:
    site.recorder.forget()
    assert site.get("/seen", fields=sent).status == 200
    (entry,) = [one for one in site.recorder.requests() if one["target"] == "/seen"]
    return {name.lower(): value for name, value in entry["fields"]}


def test_a_stranger_cannot_say_who_it_is(site):
    seen = fields_seen(site, [("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=1.2.3.4"), ("X-Request-Id", "mine"),
                              ("X-Forwarded-Proto", "https"), ("Proxy", "evil")])
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["forwarded"].startswith("for=127.0.0.1;proto=http")
    assert re.fullmatch("[0-9a-f]{32}", seen["x-request-id"])
    assert "proxy" not in seen


def test_a_trusted_proxy_is_believed(make_site):
    site = make_site(web={"trusted": ["127.0.0.0/8"]})
    seen = fields_seen(site, [("X-Forwarded-For", "1.2.3.4"), ("X-Request-Id", "mine"), ("X-Forwarded-Proto", "https")])
    assert seen["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-request-id"] == "mine"
    log = site.folder / "terrace" / "log" / "access.log"
    wait_until(lambda: "/seen" in log.read_text(), "the line in the access log")
    (line,) = [json.loads(one) for one in log.read_text().splitlines() if '"/seen"' in one]
    assert line["client"] == "1.2.3.4"


def test_every_request_has_an_id_of_its_own(site):
    assert fields_seen(site, [])["x-request-id"] != fields_seen(site, [])["x-request-id"]


# ---- instances that die -----------------------------------------------------------


def test_killing_one_instance_under_load_fails_no_request(make_site):
    site = make_site(app={"instances": 2})
    wait_until(lambda: len(instances_of(site)) == 2, "two instances")
    with Load(site.port, "/bytes/500", rate=300, clients=8) as load:
        load.until(100)
        for _ in range(3):
            victim = instances_of(site)[0]
            os.kill(victim, signal.SIGKILL)
            load.until(300)
            wait_until(lambda: len(instances_of(site)) == 2 and victim not in instances_of(site), "its successor", 20)
    assert not load.result.failures, load.result


def test_killing_all_instances_delays_requests_and_fails_none(make_site):
    site = make_site(app={"instances": 2})
    wait_until(lambda: len(instances_of(site)) == 2, "two instances")
    with Load(site.port, "/bytes/500", rate=50, clients=4, deadline=20.0) as load:
        load.until(50)
        for pid in instances_of(site):
            os.kill(pid, signal.SIGKILL)
        load.until(200)
    assert not load.result.failures, load.result
    print("longest gap without an answer: %.2f s" % load.result.longest_gap)


def test_without_an_instance_the_answer_is_a_clear_503_after_the_limit(make_site):
    site = make_site(app={"queue_timeout": "1s"})
    site.write_file("recorder.py", "raise SystemExit('broken on purpose')\n")
    for pid in instances_of(site):
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    response = wait_until(lambda: (got := site.get("/")).status == 503 and got, "a 503", 20)
    assert "503" in response.text and "html" in response["content-type"]
    began = time.monotonic()
    assert site.get("/").status == 503
    waited = time.monotonic() - began
    assert 0.8 < waited < 3.0, "latency first: %.2f s" % waited


def test_requests_wait_in_the_queue_for_a_busy_app(make_site):
    site = make_site(app={"instances": 1, "connections_max": 1})
    answers = []

    def ask():
        answers.append(site.get("/wait/turn").status)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    site.recorder.wait_for(1)
    wait_until(lambda: site.metrics().get("terrace_queue_length", 0) > 0, "a request in the queue")
    assert len([one for one in site.recorder.requests() if one["target"] == "/wait/turn"]) <= 2
    site.recorder.go("turn")
    for thread in threads:
        thread.join(10)
    assert answers == [200, 200, 200]


# ---- changes while it runs ----------------------------------------------------------


def test_reloads_under_load_fail_no_request(make_site):
    site = make_site(app={"instances": 2})
    with Load(site.port, "/bytes/500", rate=300, clients=8) as load:
        for number in range(5):
            load.until(50)
            site.write(app={"instances": 2}, web={"headers": {"X-Number": str(number)}})
            site.command("reload")
            wait_until(lambda: site.get("/")["x-number"] == str(number), "the new file")
    assert not load.result.failures, load.result


def test_a_reload_after_a_restart_of_the_app_keeps_its_instances(make_site):
    site = make_site(app={"instances": 2})
    with Load(site.port, "/bytes/500", rate=100) as load:
        load.until(20)
        site.command("restart", "app")
        site.write(app={"instances": 2}, web={"headers": {"X-Number": "1"}})
        site.command("reload")
        load.until(100)
    assert not load.result.failures, load.result


def test_a_wrong_file_is_refused_and_the_old_one_stays(site):
    site.write(web={"fallbak": "app"})
    refused = site.command("reload", check=False)
    assert refused.returncode == 1
    assert "did you mean `fallback`?" in refused.stdout + refused.stderr
    assert site.get("/").status == 200


def test_restarting_the_app_under_load_fails_no_request(make_site):
    site = make_site(app={"instances": 2})
    wait_until(lambda: len(instances_of(site)) == 2, "two instances")
    before = set(instances_of(site))
    with Load(site.port, "/bytes/500", rate=300, clients=8) as load:
        load.until(100)
        site.command("restart", "app")
        load.until(100)
    assert not load.result.failures, load.result
    assert not before & set(instances_of(site)), "every instance is a new one"
