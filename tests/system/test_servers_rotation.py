"""A rotation of the authority whose leader does not end it."""

import json
import os
import signal
import time

import pytest
from harness import wait_until
from servers import make_servers


def certificates(servers, on: str) -> dict:
    done = servers[on].command("certificates", "--json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


@pytest.mark.parametrize("after", [0, 0.05, 0.1, 0.2, 0.4])
def test_a_rotation_whose_leader_is_revoked_is_given_up(make_servers, after):
    servers = make_servers("a", "b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    first = certificates(servers, "a")["authorities"]
    leader = servers["b"].find("terrace: member")[0].pid
    # The one that was asked leads; whichever step it is in when it stops.
    servers["b"].command("certificates", "rotate")
    time.sleep(after)
    os.kill(leader, signal.SIGSTOP)
    try:
        seen = certificates(servers, "a")
        print("stopped in", seen["phase"], seen["generation"])
        servers["a"].command("revoke", "b")
        done = wait_until(lambda: (now := certificates(servers, "a"))["phase"] == "none" and
                          len(now["authorities"]) == 1 and now, "the rotation to be given up", 20)
    finally:
        os.kill(leader, signal.SIGCONT)
    servers["b"].stop()
    if seen["phase"] != "none":
        assert done["authorities"] == first
        assert "the rotation is given up" in servers["a"].log()
        said = [one for one in done["servers"] if one["name"] == "a"][0]
        assert said["signer"] == first[0]
        # The next one goes through.
        servers["a"].command("certificates", "rotate")
        wait_until(lambda: (now := certificates(servers, "a"))["phase"] == "none" and now["authorities"] != first,
                   "another authority", 20)
