"""The shared state under trouble: servers with real etcds are killed (kill -9, their etcds too), frozen and
cut off from each other while clients read and write through all of them. What the clients saw is recorded and must
be linearizable; so must be what they saw while the state moved from a coordinator to etcd and back.

The program is src/cluster/state_trial.cc; TERRACE_SEED repeats a run, STATE_SECONDS lengthens it.
"""

import os
import subprocess

import pytest
from harness import BINARY
from lab import why_not

TRIAL = BINARY.parent / "state_trial"
pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(why_not()), reason=why_not() or "runs")]


def trial(scenario: str, seconds: int, *options: str) -> tuple[int, str]:
    arguments = [str(TRIAL), scenario, "--seconds", os.environ.get("STATE_SECONDS", str(seconds)), *options]
    if seed := os.environ.get("TERRACE_SEED"):
        arguments += ["--seed", seed]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    print(done.stdout + done.stderr)
    return done.returncode, done.stdout


@pytest.mark.parametrize("scenario, seconds", [("coordinator", 2), ("etcd", 4), ("move", 3), ("replace", 2)])
def test_what_clients_saw_is_linearizable(scenario, seconds):
    status, output = trial(scenario, seconds)
    assert status == 0 and "\nlinearizable\n" in output, output


@pytest.mark.parametrize("scenario", ["coordinator", "etcd"])
def test_a_state_that_answers_from_copies_is_found_out(scenario):
    status, output = trial(scenario, 1, "--stale-reads")
    assert status == 1 and "NOT LINEARIZABLE" in output, output
