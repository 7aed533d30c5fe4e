"""The tools of bench/: they must notice what is wrong, for nobody looks at figures twice."""

import contextlib
import json
import subprocess
import time

from harness import BINARY

TOOLS = BINARY.parent / "bench"
RUN = BINARY.parent.parent.parent / "bench" / "run"


@contextlib.contextmanager
def backend(folder):
    """The origin of the benchmarks on a Unix socket; gives its endpoint."""
    endpoint = "unix:%s/app.sock" % folder
    process = subprocess.Popen([TOOLS / "backend", "--listen", endpoint])
    try:
        deadline = time.monotonic() + 5
        while not (folder / "app.sock").exists():
            assert time.monotonic() < deadline, "the backend does not listen"
            time.sleep(0.01)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def load(endpoint, *arguments):
    command = [TOOLS / "load", "--to", endpoint, "--connections", "4", "--body", "payload", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode, json.loads(done.stdout)


def test_the_load_generator_counts_right_answers(tmp_path):
    with backend(tmp_path) as endpoint:
        status, report = load(endpoint, "--path", "/10k", "--bytes", "10000", "--requests", "500")
    assert (status, report["answered"], report["failed"], report["open"]) == (0, 500, 0, 4)


def test_the_load_generator_fails_on_an_answer_of_another_length(tmp_path):
    with backend(tmp_path) as endpoint:
        status, report = load(endpoint, "--bytes", "201", "--requests", "50")
    assert status == 1
    assert report["answered"] == 0
    assert report["failures"] == {"length": 50}


def test_an_open_loop_sends_as_many_requests_as_were_due(tmp_path):
    with backend(tmp_path) as endpoint:
        status, report = load(endpoint, "--bytes", "200", "--rate", "1000", "--seconds", "0.3")
    assert (status, report["answered"]) == (0, 300)


def test_idle_connections_stay_open(tmp_path):
    with backend(tmp_path) as endpoint:
        command = [TOOLS / "load", "--to", endpoint, "--idle", "50"]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30)
    first, last = map(json.loads, done.stdout.splitlines())
    assert (first["answered"], first["open"], last["open"]) == (50, 50, 50)


def test_the_benchmark_measures_the_floors():
    rows = "static-1k,proxy-200-unix,lb-200,chain-10k,lb-latency"
    command = [RUN, "--quick", "--seconds", "0.05", "--rows", rows, "--only", "floor"]
    done = subprocess.run([*command, "--build", BINARY.parent], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| floor |") == 5
