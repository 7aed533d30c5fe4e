"""Versions of the site file for all servers: checked everywhere, recorded once, taken by each."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest
from client import ConnectionEnded, RoundRobin
from control import ask
from harness import is_listening, wait_until
from servers import Servers, without
from test_servers import make_servers  # noqa: F401

SECONDS = 60
SEED = int(os.environ.get("TERRACE_SEED", random.randrange(1 << 30)))


def versioned(servers: Servers, number: int) -> str:
    """The site file with a header that tells it from others."""
    text = servers.text.replace('[web]\n', '[web]\nheaders = { "X-Site" = "%d" }\n' % number)
    assert text != servers.text
    return text


def write_new(servers: Servers, on: str, text: str):
    path = servers[on].folder / "new.toml"
    path.write_text(text)
    return path


def apply(servers: Servers, on: str, text: str, *more: str) -> subprocess.CompletedProcess:
    return servers[on].command("apply", str(write_new(servers, on, text)), *more, check=False)


def header(site) -> str | None:
    try:
        return site.get("/recorder/up")["x-site"]
    except (OSError, ConnectionEnded):
        return None


def history(servers: Servers, on: str) -> dict:
    return json.loads(servers[on].command("history", "--json").stdout)


def applied(site) -> int:
    try:
        return ask(site, "served")["applied"]
    except (OSError, AssertionError):
        return -1


# ---- as it should be


def test_a_version_applied_on_any_server_serves_on_all(make_servers):  # noqa: F811
    servers = make_servers("a", "b", "c")
    done = apply(servers, "b", versioned(servers, 2))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 2 of the site file is applied" in done.stdout
    assert "web: headers `X-Site` added" in done.stdout
    for name, site in servers.items():
        assert header(site) == "2", name
        assert site.file.read_text() == versioned(servers, 2)
    versions = history(servers, "c")["versions"]
    assert [one["version"] for one in versions] == [2, 1]
    assert versions[0]["server"] == "b" and versions[0]["by"]
    text = servers["a"].command("history").stdout
    assert "holds" in text and "X-Site" in text
    again = apply(servers, "a", versioned(servers, 2))
    assert again.returncode == 0 and "nothing to apply" in again.stdout


def test_check_changes_nothing_and_back_takes_the_version_before(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    done = apply(servers, "a", versioned(servers, 2), "--check")
    assert done.returncode == 0 and "only a check" in done.stdout, done.stdout + done.stderr
    assert header(servers["b"]) is None and history(servers, "a")["current"] == 1
    assert apply(servers, "a", versioned(servers, 2)).returncode == 0
    assert apply(servers, "b", versioned(servers, 3)).returncode == 0
    done = servers["b"].command("apply", "--back", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for site in servers.values():
        assert header(site) == "2"
    assert history(servers, "a")["current"] == 4


def test_the_site_file_itself_is_applied_after_an_edit_and_not_reloaded(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    servers["a"].file.write_text(versioned(servers, 2))
    done = servers["a"].command("reload", check=False)
    assert done.returncode == 1 and "terrace apply" in done.stdout + done.stderr
    assert header(servers["a"]) is None
    done = servers["a"].command("apply", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert header(servers["b"]) == "2"


def test_a_site_of_one_server_applies_without_a_history(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "a", "other/a.txt": "b"})
    new = site.folder / "new.toml"
    new.write_text(site.file.read_text().replace('"public"', '"other"'))
    done = site.command("apply", str(new), "--check")
    assert "web: files" in done.stdout and site.get("/a.txt").text == "a"
    site.command("apply", str(new))
    wait_until(lambda: site.get("/a.txt").text == "b", "the new folder")
    assert site.file.read_text() == new.read_text()
    new.write_text("[wep]\n")
    done = site.command("apply", str(new), check=False)
    assert done.returncode == 1 and "new.toml:1" in done.stderr, done.stderr
    assert site.command("apply", "--back", check=False).returncode == 1


# ---- who objects, who is away, who is first


def test_it_is_refused_whole_when_one_server_objects(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    servers["a"].environment["ONLY_HERE"] = "x"
    text = versioned(servers, 2).replace('[web]\n', '[web]\nerrors = { 404 = "${env:ONLY_ON_A}" }\nfiles = "."\n')
    done = apply(servers, "a", text)
    assert done.returncode == 1, done.stdout
    assert "b objects:" in done.stderr and "ONLY_ON_A" in done.stderr
    wrong = apply(servers, "b", versioned(servers, 2) + "\n[wep]\n")
    assert wrong.returncode == 1 and "`wep`" in wrong.stderr
    for name, site in servers.items():
        assert header(site) is None, name
        assert site.file.read_text() == servers.text
    assert history(servers, "a")["current"] == 1


def test_what_no_server_could_read_again_is_not_recorded(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    site = servers["a"]
    frames = b"".join(len(part).to_bytes(4, "big") + part for part in (versioned(servers, 2).encode(), b""))
    for odd, may in (({"by": "x" * 300}, False), ({"by": "x", "back": "odd"}, True)):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(20)
            asking.connect(str(site.folder / "terrace/run/cluster/member.sock"))
            asking.sendall(json.dumps({"command": "apply", "name": "new.toml"} | odd).encode() + b"\n" + frames)
            said = asking.makefile().read().splitlines()
        assert said and json.loads(said[-1])["ok"] is may, said
        assert history(servers, "a")["current"] == (2 if may else 1)
    assert applied(site) == 2


def test_a_server_that_was_down_takes_the_version_before_it_serves(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    servers["b"].stop()
    done = apply(servers, "a", versioned(servers, 2))
    assert done.returncode == 0 and "b does not answer" in done.stdout, done.stdout + done.stderr
    seen = []
    stop = threading.Event()

    def look():
        while not stop.is_set():
            try:
                seen.append(servers["b"].get("/recorder/up")["x-site"])
            except (OSError, ConnectionEnded):
                time.sleep(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        servers["b"].start()
    finally:
        stop.set()
        thread.join()
    assert set(seen) == {"2"}
    assert servers["b"].file.read_text() == versioned(servers, 2)


def test_alone_a_server_starts_with_what_it_has(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    for site in servers.values():
        site.stop()
    began = time.monotonic()
    servers["b"].start()
    assert time.monotonic() - began < 15, "five seconds for the others, and its own start"
    servers["b"].wait_for_log("goes on with what it has")
    servers["a"].start()
    wait_until(lambda: applied(servers["b"]) == 1, "it keeps up again", SECONDS)


def test_of_two_at_once_one_wins_and_the_other_is_told_who(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    for turn in range(3):
        done = {}

        def run(name: str, number: int):
            done[name] = apply(servers, name, versioned(servers, number))

        threads = [threading.Thread(target=run, args=(name, 10 * turn + i)) for i, name in enumerate(servers, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = sorted(one.returncode for one in done.values())
        if codes == [0, 0]:
            continue  # one after the other, after all
        assert codes == [0, 1], {name: one.stdout + one.stderr for name, one in done.items()}
        winner = next(name for name, one in done.items() if one.returncode == 0)
        loser = next(one for one in done.values() if one.returncode == 1)
        assert "on %s meanwhile" % winner in loser.stderr or "being changed" in loser.stderr, loser.stderr
        for site in servers.values():
            wait_until(lambda: header(site) == str(10 * turn + (2 if winner == "a" else 3)), "the winner's", SECONDS)


# ---- servers come and go


def test_a_server_that_leaves_the_file_takes_no_visitors_and_no_request_fails(make_servers):  # noqa: F811
    servers = make_servers("a", "b")
    ports = [site.port for site in servers.values()]
    with RoundRobin(ports, "/recorder/up", rate=150, clients=6, resend=False) as load:
        load.until(50)
        alone = without(servers.text, "b")
        done = apply(servers, "a", alone.replace("[cluster]", "# [cluster]").replace("\nport =", "\n# port ="))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "`b` leaves the site" in done.stdout
        wait_until(lambda: not is_listening(servers["b"].port), "b to take no visitors", SECONDS)
        load.until(100)
    assert not load.result.failures, load.result
    assert is_listening(servers["a"].port)


def two_of_three(make_site) -> tuple[Servers, str]:
    """a and b serve, and c is in no site file yet; and the file that names all of them."""
    servers = Servers(("a", "b", "c"), make_site)
    all_text = servers.text
    servers.text = without(all_text, "c")
    servers.found("a")
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    return servers, all_text


def test_a_server_joins_and_serves_under_load(make_site):
    servers, all_text = two_of_three(make_site)
    ports = [site.port for site in servers.values()]
    with RoundRobin(ports, "/recorder/up", rate=100, clients=4, resend=False) as load:
        load.until(30)
        done = apply(servers, "a", all_text)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "`c` joins the pool" in done.stdout and "c has not joined yet" in done.stdout
        servers.join("c", servers.token("c", "b"))
        servers.start("c")
        load.until(50)
    assert not load.result.failures, load.result
    assert servers["c"].file.read_text() == all_text
    assert servers["c"].recorder.requests()


def test_the_roles_of_a_server_move_to_another_under_load(make_site):
    servers, all_text = two_of_three(make_site)
    ports = [site.port for site in servers.values()]
    with RoundRobin(ports, "/recorder/up", rate=100, clients=4, resend=False) as load:
        load.until(30)
        done = apply(servers, "b", without(all_text, "b"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "`b` leaves the site" in done.stdout and "`c` joins" in done.stdout, done.stdout
        assert "this server leaves the site" in done.stdout and "does not run" not in done.stdout, done.stdout
        wait_until(lambda: not is_listening(servers["b"].port), "b to take no visitors", SECONDS)
        servers.join("c", servers.token("c", "a"))
        servers.start("c")
        load.until(80)
    assert not load.result.failures, load.result
    assert servers["c"].recorder.requests() and is_listening(servers["a"].port)


# ---- power


def power_off(servers: Servers):
    """kill -9 of everything, as a power cut does."""
    everything = [one for site in servers.values() for one in site.processes()]
    for one in everything:
        try:
            os.kill(one.pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass
    for one in everything:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for site in servers.values():
        site.child.wait()
        assert not site.left_behind()


@pytest.mark.parametrize("moment", range(4))
def test_a_power_cut_leaves_one_version_on_all_servers(make_servers, moment):  # noqa: F811
    chance = random.Random(SEED + moment)
    delay = chance.uniform(0, 0.6)
    print("seed %d, the power goes after %.3f s" % (SEED, delay))
    servers = make_servers("a", "b")
    on = chance.choice(list(servers))
    path = write_new(servers, on, versioned(servers, 2))
    site = servers[on]
    with subprocess.Popen([str(site.binary), "apply", "--file", str(site.file), str(path)], cwd=site.folder,
                          env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
        time.sleep(delay)
        power_off(servers)
        command.kill()
    for each in servers.values():
        each.start(wait=False)
    for each in servers.values():
        each.wait_until_serving(SECONDS)
    began = time.monotonic()
    wait_until(lambda: len({header(each) for each in servers.values()}) == 1 and
               all(applied(each) > 0 for each in servers.values()), "one version everywhere", 30)
    print("one version after %.2f s" % (time.monotonic() - began))
    texts = {each.file.read_text() for each in servers.values()}
    assert len(texts) == 1 and texts <= {servers.text, versioned(servers, 2)}
    assert apply(servers, on, versioned(servers, 3)).returncode == 0, "and it goes on"
