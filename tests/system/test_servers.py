"""Several servers: founding, tokens, join, what one sees of the others, and who is refused."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time

import pytest
from client import Load
from harness import is_listening, wait_until
from servers import Servers, make_servers

ROOT = os.geteuid() == 0
USERS = [None, "nobody"] if ROOT else [None]


@pytest.mark.parametrize("user", USERS)
def test_a_server_joins_with_a_token_and_each_sees_the_other(make_servers, user):
    servers = make_servers("a", "b", user=user)
    for on in ("a", "b"):
        seen = servers.wait_until_all_answer(on)
        assert {name: one["status"]["controller"]["state"] for name, one in seen.items()} == \
            {"a": "serving", "b": "serving"}
    text = servers["b"].command("status").stdout
    assert servers.addresses["a"] in text and servers.addresses["b"] in text
    assert servers["b"].file.read_text() == servers.text
    # The key was made there and never left.
    assert (servers.cluster("b") / "server.key").stat().st_mode & 0o777 == 0o600
    assert (servers.cluster("b") / "server.key").read_text() != (servers.cluster("a") / "server.key").read_text()


def test_a_single_server_becomes_the_first_of_two_without_a_failed_request(make_servers, make_site):
    servers = Servers(("a", "b"), make_site)
    alone = servers["a"]
    alone.file.write_text(servers.text.replace("\nb = ", "\n# b = ").replace("[cluster]\nport", "# port"))
    alone.arguments = ["--server", "a"]
    alone.start()
    with Load(alone.port) as load:
        alone.file.write_text(servers.text)
        alone.command("reload")
        alone.wait_for_log("made the site's authority")
        alone.wait_for_log("listening for the other servers")
        servers.join("b", servers.token("b", "a"))
        servers.start("b")
        servers.wait_until_all_answer("a")
        load.until(20)
    assert not load.result.failures, load.result


def test_status_says_who_does_not_answer(make_servers):
    servers = make_servers("a", "b")
    servers["b"].stop()
    done = servers["a"].command("status", "--json", check=False)
    seen = {one["name"]: one for one in json.loads(done.stdout)["servers"]}
    assert done.returncode == 1
    assert (seen["a"]["answers"], seen["b"]["answers"]) == (True, False)
    assert "refused" in seen["b"]["error"]
    assert "does not answer" in servers["a"].command("status", check=False).stdout
    servers.start("b")
    servers.wait_until_all_answer("a")


def test_status_says_for_whom_it_waits(make_servers):
    """A server that lives and is slow: its controller does not answer its member."""
    servers = make_servers("a", "b")
    controller = servers["b"].find("terrace: controller")[0].pid
    os.kill(controller, signal.SIGSTOP)
    try:
        began = time.monotonic()
        shown = servers["a"].command("status", check=False)
        print("status took %.2f s" % (time.monotonic() - began))
        own = servers["b"].command("status", check=False)
    finally:
        os.kill(controller, signal.SIGCONT)
    assert shown.returncode == 1 and "its controller does not answer" in shown.stdout, shown.stdout
    assert shown.stderr == "waiting for the other servers …\n"
    assert own.returncode == 2 and own.stderr.startswith("waiting for the controller …\n"), own.stderr


def test_a_token_works_once(make_servers):
    servers = make_servers("a", "b", "c", joined=False)
    token = servers.token("b", "a")
    servers.join("b", token)
    again = servers.join("c", token, check=False)
    assert again.returncode == 1 and "used by another server" in json.loads(again.stdout)["error"]
    servers["a"].wait_for_log("refused a server that wants to join")
    assert not (servers.cluster("c") / "identity.json").exists()


def test_a_token_expires(make_servers):
    servers = make_servers("a", "b", joined=False)
    token = servers.token("b", "a", "--life", "1s")
    wait_until(lambda: servers.join("b", token, check=False).returncode == 1 or
               (servers.cluster("b") / "identity.json").unlink(), "the token to expire", 10, pace=0.3)
    assert "expired" in json.loads(servers.join("b", token, check=False).stdout)["error"]


def test_a_revoked_server_does_not_come_back_with_its_token_but_with_a_new_one(make_servers):
    servers = make_servers("a", "b", joined=False)
    servers.cluster("b").mkdir(parents=True)
    (servers.cluster("b") / "authority.pem").write_text("of a founding that lost its power")
    token = servers.token("b", "a")
    servers.join("b", token)
    assert not (servers.cluster("b") / "authority.pem").exists()
    servers["a"].command("revoke", "b")
    back = servers.join("b", token, check=False)
    assert back.returncode == 1 and "token" in json.loads(back.stdout)["error"]
    servers["a"].wait_for_log("refused a server that wants to join")
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    servers.wait_until_all_answer("a")


def test_the_secret_of_a_token_goes_to_the_server_that_made_it_alone(make_servers):
    """Another server of the site, or its certificate, has taken the address that is asked."""
    servers = make_servers("a", "b", "c", joined=False)
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    token = servers.token("c", "a")
    elsewhere = dict(token, address="%s:%d" % (servers.addresses["b"], servers.port))
    refused = servers.join("c", elsewhere, check=False)
    assert refused.returncode == 1 and "another server" in json.loads(refused.stdout)["error"]
    servers.join("c", token)


def test_a_join_that_lost_its_power_goes_on(make_servers):
    """The answer did not arrive, or was not kept: the same command with the same key works again."""
    servers = make_servers("a", "b", joined=False)
    token = servers.token("b", "a")
    servers.join("b", token)
    key = (servers.cluster("b") / "server.key").read_text()
    for name in ("identity.json", "server.crt", "trust.pem"):
        (servers.cluster("b") / name).unlink()
    servers.join("b", token)
    assert (servers.cluster("b") / "server.key").read_text() == key
    servers.start("b")
    servers.wait_until_all_answer("a")


def test_what_a_former_membership_left_does_not_count(make_servers):
    """Its state would be taken for newer than all that the site has."""
    servers = make_servers("a", "b", joined=False)
    token = servers.token("b", "a")
    servers.join("b", token)
    cluster = servers.cluster("b")
    (cluster / "identity.json").unlink()
    left = [cluster / name for name in ("state/journal", "state/last-copy", "etcd/data/member/wal/0.wal")]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("of another site\n")
    for path in [cluster / "state", cluster / "etcd", *cluster.glob("*/**/*")]:
        os.chown(path, cluster.stat().st_uid, cluster.stat().st_gid)
    servers.join("b", token)
    assert not [file for file in left if file.exists()]
    servers.start("b")
    servers.wait_until_all_answer("a")


def test_wrong_tokens_are_refused_in_words(make_servers):
    servers = make_servers("a", "b", joined=False)
    token = servers.token("b", "a")
    cut = servers["b"].command("join", "--token", token["token"][:-3], check=False)
    assert cut.returncode == 2 and "token" in cut.stderr
    known = servers["a"].command("token", "x", check=False)
    assert known.returncode == 1 and "names no server `x`" in known.stderr
    own = servers["a"].command("token", "a", check=False)
    assert own.returncode == 1 and "has joined" in own.stderr


def test_a_server_that_has_not_joined_does_not_start(make_site):
    servers = Servers(("a", "b"), make_site)
    servers["b"].file.write_text(servers.text)
    done = subprocess.run([str(servers["b"].binary), "up", "--file", str(servers["b"].file), "--server", "b"],
                          env=servers["b"].environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "b has not joined the site" in done.stderr and "terrace token b" in done.stderr
    # Nor does it start as somebody else than it has joined as.
    servers.found("a")
    servers.join("b", servers.token("b", "a"))
    done = subprocess.run([str(servers["b"].binary), "up", "--file", str(servers["b"].file), "--server", "a"],
                          env=servers["b"].environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "has joined its site as `b`" in done.stderr


# ---- who is refused


def refusals(site) -> list[str]:
    return [line for line in site.log().splitlines() if "refused at the control port" in line]


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["terrace/1"])
    return context


def message(value: dict) -> bytes:
    body = json.dumps(value).encode()
    return b"m" + len(body).to_bytes(4, "big") + body


def read_message(connection) -> dict:
    head = b""
    while len(head) < 5:
        head += connection.recv(5 - len(head)) or b"x" * 5
    body = b""
    while len(body) < int.from_bytes(head[1:5], "big"):
        body += connection.recv(65536)
    return json.loads(body)


def test_what_is_not_tls_gets_nothing(make_servers):
    servers = make_servers("a", "b", joined=False)
    for sent in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", message({"request": "status"}), os.urandom(300)):
        before = len(refusals(servers["a"]))
        with servers.connect("a") as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert len(connection.recv(4096)) <= 7  # at most a TLS alert
        wait_until(lambda: len(refusals(servers["a"])) > before, "a line about it")


def test_without_a_certificate_nothing_but_join_is_answered(make_servers):
    servers = make_servers("a", "b", joined=False)
    for request in ("status", "state", "renew", "authority-key", "token", "control", "logs"):
        with client_context().wrap_socket(servers.connect("a")) as connection:
            connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": "", "program": "0",
                                        "time_ms": int(time.time() * 1000)}))
            assert read_message(connection)["server"] == "a"
            connection.sendall(message({"request": request}))
            answer = read_message(connection)
        assert answer["ok"] is False and "certificate" in answer["error"], answer
    servers["a"].wait_for_log("refused a request of another server")


def test_a_member_of_another_site_is_refused(make_servers):
    servers = make_servers("a", "b")
    other = make_servers("a", "b")
    context = client_context()
    context.load_cert_chain(other.cluster("b") / "server.crt", other.cluster("b") / "server.key")
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        with context.wrap_socket(servers.connect("a")) as connection:
            connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": "b", "program": "0", "time_ms": 1}))
            read_message(connection)
    line = wait_until(lambda: refusals(servers["a"]), "a line about it")[-1]
    assert "authority" in line and "from=127.0.0.1" in line


def test_a_revoked_server_is_out_within_a_second(make_servers):
    servers = make_servers("a", "b", "c")
    began = time.monotonic()
    servers["b"].command("revoke", "c")
    wait_until(lambda: not servers.seen_from("c")["a"]["answers"] and not servers.seen_from("c")["b"]["answers"],
               "c to be refused by both")
    print("refused everywhere after %.2f s" % (time.monotonic() - began))
    for name in ("a", "b"):
        line = wait_until(lambda: refusals(servers[name]), "a line about it")[-1]
        assert "revoked" in line, line
    seen = servers.seen_from("a")
    assert seen["b"]["answers"] and not seen["c"]["joined"]
    # Another machine takes its place, or the same one once more.
    for one in servers.cluster("c").iterdir():
        if one.is_file():
            one.unlink()
    servers["c"].stop()
    servers.join("c", servers.token("c", "a"))
    servers.start("c")
    servers.wait_until_all_answer("b")


# ---- certificates


def certificates(servers, on: str) -> dict:
    return json.loads(servers[on].command("certificates", "--json").stdout)


def test_certificates_are_renewed_at_a_third_of_their_life(make_servers):
    servers = make_servers("a", "b", cluster='certificate_life = "75s"')
    before = {name: (servers.cluster(name) / "server.crt").read_text() for name in servers}
    wait_until(lambda: all((servers.cluster(name) / "server.crt").read_text() != before[name] for name in servers),
               "new certificates on both", 60, pace=0.2)
    servers.wait_until_all_answer("a")


def test_the_second_server_holds_the_authority_s_key_too(make_servers):
    servers = make_servers("a", "b", "c", joined=False)
    servers.join("b", servers.token("b", "a"))
    servers.start("b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    assert certificates(servers, "b")["holders"] == ["a", "b"]
    # b lets others join.
    token = servers.token("c", "b")
    assert token["address"].startswith(servers.addresses["b"])
    servers.join("c", token)
    servers.start("c")
    servers.wait_until_all_answer("c")
    assert not (servers.cluster("c") / "authority.pem").exists()


def test_a_new_authority_takes_over_under_load(make_servers):
    servers = make_servers("a", "b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    first = certificates(servers, "a")["authorities"]
    with Load(servers["a"].port) as load:
        servers["b"].command("certificates", "rotate")
        wait_until(lambda: certificates(servers, "a")["generation"] == 2, "the second generation", 40, pace=0.2)
        for name in servers:
            wait_until(lambda: certificates(servers, name)["authorities"] != first, "the new one alone on " + name)
        load.until(20)
    assert not load.result.failures, load.result
    servers.wait_until_all_answer("a")
    servers.wait_until_all_answer("b")
    key = lambda name: (servers.cluster(name) / "authority.pem").read_text()  # noqa: E731
    wait_until(lambda: key("a") == key("b"), "the new key on both", 20)
    assert "a rotation" not in servers["a"].command("certificates").stdout


# ---- the site as a whole


def test_logs_come_from_all_servers(make_servers):
    servers = make_servers("a", "b")
    all_lines = servers["a"].command("logs", "--terrace").stdout
    assert "a  " in all_lines and "b  " in all_lines
    of_b = servers["a"].command("logs", "--terrace", "--server", "b", "--json").stdout
    assert {json.loads(line)["server"] for line in of_b.splitlines()} == {"b"}
    servers["b"].stop()
    done = servers["a"].command("logs", "--terrace", check=False)
    assert done.returncode == 1 and "no answer from b" in done.stderr and "a  " in done.stdout


def test_another_server_is_drained_and_undrained(make_servers):
    servers = make_servers("a", "b")
    servers["a"].command("drain", "b")
    assert servers.seen_from("a")["b"]["status"]["controller"]["drained"]
    wait_until(lambda: not is_listening(servers["b"].port), "b to take no visitors")
    with pytest.raises(OSError):
        servers["b"].get("/")
    assert servers["a"].get("/").status == 200
    servers["a"].command("undrain", "b")
    wait_until(lambda: servers["b"].get("/").status == 200, "b to serve again")


def test_a_restart_goes_from_server_to_server(make_servers):
    servers = make_servers("a", "b")
    with Load(servers["a"].port) as load:
        said = servers["b"].command("restart", "app").stdout
        load.until(20)
    assert "2 replaced" in said
    assert not load.result.failures, load.result


def test_the_death_of_a_member_is_no_end(make_servers):
    servers = make_servers("a", "b")
    for name in servers:
        os.kill(servers[name].find("terrace: member")[0].pid, signal.SIGKILL)
    servers.wait_until_all_answer("a")
    servers.wait_until_all_answer("b")


def test_a_clock_that_differs_is_said_and_breaks_nothing(make_servers):
    """As b, with its certificate and a clock that is a day ahead."""
    servers = make_servers("a", "b")
    context = client_context()
    context.load_cert_chain(servers.cluster("b") / "server.crt", servers.cluster("b") / "server.key")
    with context.wrap_socket(servers.connect("a")) as connection:
        connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": "b", "program": "0",
                                    "time_ms": int((time.time() + 86400) * 1000)}))
        assert read_message(connection)["server"] == "a"
        connection.sendall(message({"request": "status"}))
        assert read_message(connection)["ok"]
    servers["a"].wait_for_log("the clock of another server differs from ours server=b ahead_seconds=86")
    servers.wait_until_all_answer("a")


def test_a_member_may_not_ask_for_what_is_not_its_own(make_servers):
    """b may ask as a member; the authority's key is for its holders, and unknown requests are nobody's."""
    servers = make_servers("a", "b", "c")
    context = client_context()
    context.load_cert_chain(servers.cluster("c") / "server.crt", servers.cluster("c") / "server.key")
    for request, why in (("authority-key", "not for this server"), ("give-me", "does not know"),
                         ("control", "not for other servers")):
        with context.wrap_socket(servers.connect("a")) as connection:
            connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": "c", "program": "0",
                                        "time_ms": int(time.time() * 1000)}))
            assert read_message(connection)["server"] == "a"
            connection.sendall(message({"request": request, "question": {"command": "stop"}}))
            answer = read_message(connection)
        assert answer["ok"] is False and why in answer["error"], answer


def secret_of(servers, name: str) -> str:
    path = servers[name].folder / "terrace/state/secrets/TOKEN"
    return path.read_text() if path.exists() else ""


def set_secret(servers, on: str, value: str) -> subprocess.CompletedProcess:
    site = servers[on]
    return subprocess.run([str(site.binary), "secret", "set", "--file", str(site.file), "TOKEN"], input=value,
                          env=site.environment, cwd=site.folder, capture_output=True, text=True, timeout=30, check=True)


def test_secrets_are_on_every_server_that_runs_the_application(make_site):
    servers = Servers(("a", "b"), make_site)
    servers.text = servers.text.replace('env = { ', 'env = { TOKEN = "${secret:TOKEN}", ')
    # Before there are several.
    servers["a"].file.write_text(servers.text)
    set_secret(servers, "a", "first")
    servers.found("a")
    servers.join("b", servers.token("b", "a"))
    assert secret_of(servers, "b") == "first"
    servers.start("b")
    servers.wait_until_all_answer("a")
    # From the other server, for both.
    set_secret(servers, "b", "second")
    assert (secret_of(servers, "a"), secret_of(servers, "b")) == ("second", "second")
    # A server that was away fetches it.
    servers["b"].stop()
    assert "not yet on b" in set_secret(servers, "a", "third").stdout
    servers.start("b")
    wait_until(lambda: secret_of(servers, "b") == "third", "the third one on b", 20)
    assert "third" not in servers["a"].log() + servers["b"].log()
    state = (servers.cluster("a") / "state/journal").read_text()
    assert "first" not in state and "second" not in state and "third" not in state
    servers["a"].command("secret", "remove", "TOKEN")
    wait_until(lambda: secret_of(servers, "b") == "", "it to be gone from b")


def test_a_secret_that_could_not_be_removed_is_tried_again(make_servers):
    servers = make_servers("a", "b")
    set_secret(servers, "a", "planted")  # which needs no application that reads it
    wait_until(lambda: secret_of(servers, "b") == "planted", "it on b", 20)
    file = servers["b"].folder / "terrace/state/secrets/TOKEN"
    file.unlink()
    file.mkdir()  # which unlink(2) does not remove
    servers["a"].command("secret", "remove", "TOKEN")
    servers["b"].wait_for_log("a secret could not be kept")
    file.rmdir()
    file.write_text("planted")
    wait_until(lambda: not file.exists(), "it to be gone from b", 20)


def test_a_secret_that_comes_late_does_not_replace_a_newer_one(make_servers):
    servers = make_servers("a", "b")
    for value in ("first", "second"):
        set_secret(servers, "a", value)
    context = client_context()
    context.load_cert_chain(servers.cluster("a") / "server.crt", servers.cluster("a") / "server.key")
    with context.wrap_socket(servers.connect("b")) as connection:
        connection.sendall(message({"channel": {"from": 1, "to": 1}, "server": "a", "program": "0",
                                    "time_ms": int(time.time() * 1000)}))
        assert read_message(connection)["server"] == "b"
        late = b"late"
        connection.sendall(message({"request": "store-secret", "name": "TOKEN", "version": 1, "removed": False}) +
                           b"d" + len(late).to_bytes(4, "big") + late + b"e" + bytes(4))
        assert read_message(connection)["ok"]
    assert secret_of(servers, "b") == "second"


@pytest.mark.parametrize("alive", [True, False])
def test_the_server_that_holds_what_they_share_can_be_revoked(make_servers, alive):
    """a is the coordinator; b takes that over from its last copy, and lets a in again."""
    servers = make_servers("a", "b")
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the key on b")
    if not alive:
        servers["a"].stop()
    done = servers["b"].command("revoke", "a", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["held_authority"]
    wait_until(lambda: not servers.seen_from("b")["a"]["joined"], "b to know it")
    if alive:
        wait_until(lambda: refusals(servers["b"]), "a to be refused")
        servers["a"].stop()
    servers["a"].command("join", "--token", servers.token("a", "b")["token"])
    servers.start("a")
    servers.wait_until_all_answer("b")
    servers.wait_until_all_answer("a")


def test_logs_are_followed_on_all_servers(make_servers):
    servers = make_servers("a", "b")
    site = servers["a"]
    with subprocess.Popen([str(site.binary), "logs", "--file", str(site.file), "--access", "-f"],
                          env=site.environment, stdout=subprocess.PIPE, text=True) as following:
        try:
            wait_until(lambda: servers["b"].get("/followed-1").status, "an answer of b")
            seen = ""
            end = time.monotonic() + 20
            while "/followed-2" not in seen and time.monotonic() < end:
                if "/followed-1" in seen:
                    servers["a"].get("/followed-2")
                seen += following.stdout.readline()
        finally:
            following.kill()
    assert any(line.startswith("b  ") and "/followed-1" in line for line in seen.splitlines())
    assert any(line.startswith("a  ") and "/followed-2" in line for line in seen.splitlines())
    lines = [line for line in seen.splitlines() if "/followed-1" in line]
    assert len(lines) == 1, lines


def test_with_three_servers_any_one_may_be_away(make_servers):
    """What they share moves to etcd on all three; without the founder the site is governed on."""
    servers = make_servers("a", "b", "c")
    wait_until(lambda: all(site.find("etcd") for site in servers.values()), "etcd on all three", 60, pace=0.2)
    shared = lambda on: servers.seen_from(on)[on]["status"]["shared"]  # noqa: E731
    wait_until(lambda: shared("c")["keeper"] == "etcd" and len(shared("c")["holders"]) == 3, "the move", 60, pace=0.2)
    wait_until(lambda: (servers.cluster("b") / "authority.pem").exists(), "the authority's key on b")
    servers["a"].stop()
    with Load(servers["b"].port) as load:
        servers["b"].command("revoke", "c")
        wait_until(lambda: not servers.seen_from("b")["c"]["joined"], "c to be out", 20)
        load.until(20)
    assert not load.result.failures, load.result
    servers.start("a")
    servers.wait_until_all_answer("b", ["a", "b"])


def test_an_older_last_copy_does_not_take_a_new_authority_back(make_servers):
    """As after a power cut: the authorities that b trusts are on its disk, its copy of what they share is not yet."""
    servers = make_servers("a", "b")
    copy = servers.cluster("b") / "state/last-copy"
    wait_until(copy.exists, "a copy on b")
    before = copy.read_bytes()
    servers["a"].command("certificates", "rotate")
    wait_until(lambda: certificates(servers, "b").get("generation") == 2, "the second generation", 40, pace=0.2)
    servers["b"].stop()
    copy.write_bytes(before)
    servers.start("b")
    servers.wait_until_all_answer("a")
    servers.wait_until_all_answer("b")
