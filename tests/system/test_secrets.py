"""Secrets: set, used, changed and removed; and that nothing but the application shows them."""

import json
import os
import pty
import re
import select
import signal
import subprocess
from pathlib import Path

import pytest
from harness import descendants, wait_until

# Not to be found anywhere; and no character of it must be lost on its way.
PLANTED = "Zq7-planted-W3cr3t"
PASSWORD = PLANTED + "@:/?#[]!$&'()*+,;=% \"\\^`{|}~é"

APP = """
import http.server, json, os

class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
"""


def secret(site, *arguments: str, value: str | None = None, user=None) -> subprocess.CompletedProcess:
    """`terrace secret …` with that on standard input."""
    return subprocess.run(
        [str(site.binary), "secret", "--file", str(site.file), *arguments], input=value, cwd=site.folder,
        env=site.environment, capture_output=True, text=True, timeout=30, user=user,
        extra_groups=None if user is None else [],
    )


def set_secret(site, name: str, value: str):
    done = secret(site, "set", name, value=value)
    assert done.returncode == 0, done.stderr
    return done


def environment(site) -> dict:
    """What the application found in its environment."""
    return json.loads(site.get("/").text)


def app_tables(**env) -> dict:
    return {"app": {"run": "/usr/bin/python3 -u app.py", "health": "/", "env": env}}


def secrets_folder(site) -> Path:
    return Path(site.environment["TERRACE_FOLDER"]) / "state/secrets"


def run_passwords(site) -> Path:
    return Path(site.environment["TERRACE_FOLDER"]) / "run/passwords"


# ---- set, list, remove


def test_a_secret_is_in_the_environment_of_the_application(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}", BOTH="<${secret:KEY}>"))
    said = set_secret(site, "KEY", PASSWORD + "\n")
    assert said.stdout == "KEY is set; the site reads it when it starts\n"
    site.start()
    assert environment(site)["KEY"] == PASSWORD
    assert environment(site)["BOTH"] == "<" + PASSWORD + ">"


def test_a_changed_secret_is_taken_by_a_reload_which_rolls_the_app(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}"))
    set_secret(site, "KEY", "first")
    site.start()
    said = set_secret(site, "KEY", "second")
    assert said.stdout == "KEY is set; the running site takes that with `terrace reload`\n"
    assert environment(site)["KEY"] == "first"
    reloaded = site.command("reload")
    assert "app: env `KEY` changed" in reloaded.stdout
    wait_until(lambda: environment(site)["KEY"] == "second", "the new value in the application", 20)


def test_a_new_controller_goes_on_with_the_secrets_that_the_site_was_accepted_with(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}"))
    set_secret(site, "KEY", "first")
    site.start()
    before = site.find("app.py")[0].pid
    set_secret(site, "KEY", "second")
    killed = site.kill("controller")
    wait_until(lambda: any(one.pid != killed.pid for one in site.find("controller")), "another controller")
    wait_until(lambda: json.loads(site.command("status", "--json", check=False).stdout or "{}").get("instances"),
               "the new controller knows the instances", 15)
    assert [one.pid for one in site.find("app.py")][0] == before
    # An instance that it starts itself gets that value, too.
    site.kill("app.py")
    wait_until(lambda: any(one.pid != before for one in site.find("app.py")), "another instance", 15)
    wait_until(lambda: environment(site)["KEY"] == "first", "its environment", 15)


def test_a_missing_secret_is_an_error_with_its_place_and_the_fix(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}"))
    checked = site.command("check", check=False)
    assert checked.returncode == 1
    assert "error[E018]: the secret `KEY` is not set" in checked.stdout
    assert "set it: `terrace secret set KEY`" in checked.stdout
    up = subprocess.run([str(site.binary), "up", "--file", str(site.file)], env=site.environment,
                        capture_output=True, text=True, timeout=30)
    assert up.returncode == 1 and "the secret `KEY` is not set" in up.stderr
    set_secret(site, "KEY", "x")
    assert site.command("check").returncode == 0


def test_a_removed_secret_refuses_the_reload_and_the_site_stays(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}"))
    set_secret(site, "KEY", "first")
    site.start()
    assert secret(site, "remove", "KEY").returncode == 0
    reloaded = site.command("reload", check=False)
    assert reloaded.returncode == 1 and "the secret `KEY` is not set" in reloaded.stderr
    assert environment(site)["KEY"] == "first"


def test_secrets_are_listed_without_their_values(make_site):
    site = make_site(start=False)
    assert secret(site, "list").stdout == ""
    set_secret(site, "B", "hunter2")
    set_secret(site, "A", "hunter2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z  A\n\d{4}-\d\d-\d\dT[\d:]+Z  B\n", secret(site, "list").stdout)
    listed = json.loads(secret(site, "list", "--json").stdout)
    assert listed["ok"] and [one["name"] for one in listed["secrets"]] == ["A", "B"]
    assert secret(site, "remove", "A").returncode == 0
    again = secret(site, "remove", "A")
    assert again.returncode == 1 and again.stderr == "terrace: there is no secret A\n"
    assert [one["name"] for one in json.loads(secret(site, "list", "--json").stdout)["secrets"]] == ["B"]


@pytest.mark.parametrize("value, stored", [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), (" a ", " a ")])
def test_one_line_end_is_dropped_and_nothing_else(make_site, value, stored):
    site = make_site(start=False)
    set_secret(site, "A", value)
    assert (secrets_folder(site) / "A").read_bytes() == stored.encode()


@pytest.mark.parametrize("value, why", [("", "it is empty"), ("\n", "it is empty"), ("a\0b", "zero byte"),
                                        ("x" * 20_000, "longer than 16 KiB")])
def test_a_value_that_cannot_be_one_is_refused(make_site, value, why):
    site = make_site(start=False)
    done = secret(site, "set", "A", value=value)
    assert done.returncode == 1 and why in done.stderr
    assert not (secrets_folder(site) / "A").exists()


def test_a_value_on_the_command_line_is_refused_and_not_repeated(make_site):
    site = make_site(start=False)
    for arguments in (["set", "A", PLANTED], ["set", "A=" + PLANTED], ["set", "A", "--value", PLANTED],
                      ["set", "A", "--json=" + PLANTED]):
        done = secret(site, *arguments, value="x")
        assert done.returncode == 2
        assert PLANTED not in done.stdout + done.stderr
    assert not secrets_folder(site).exists()


def ask_on_a_terminal(site, typed: bytes) -> tuple[int, bytes]:
    """`terrace secret set A` on a terminal of its own, and what that showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(str(site.binary), ["terrace", "secret", "--file", str(site.file), "set", "A"], site.environment)
    shown = b""
    sent = False
    while True:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, "it does not go on: %r" % shown
        try:
            block = os.read(terminal, 4096)
        except OSError:
            break
        if not block:
            break
        shown += block
        if b": " in shown and not sent:
            os.write(terminal, typed)
            sent = True
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


def test_a_terminal_is_asked_and_shows_nothing(make_site):
    site = make_site(start=False)
    status, shown = ask_on_a_terminal(site, b"hunterX\x7f2\r")
    assert status == 0, shown
    assert b"hunter" not in shown and b"A is set" in shown
    assert (secrets_folder(site) / "A").read_text() == "hunter2"
    status, shown = ask_on_a_terminal(site, "wrong\x15pä\x7fass\r".encode())
    assert status == 0 and (secrets_folder(site) / "A").read_text() == "pass"
    status, shown = ask_on_a_terminal(site, b"hunter2\r")
    status, shown = ask_on_a_terminal(site, b"other\x03")
    assert status == 1 and b"nothing is changed" in shown
    assert (secrets_folder(site) / "A").read_text() == "hunter2"


# ---- who may see them


@pytest.mark.skipif(os.geteuid() != 0, reason="users of their own need root")
def test_only_root_reads_the_secrets_of_a_site_that_root_runs(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}"))
    set_secret(site, "KEY", PLANTED)
    site.start()
    folder = secrets_folder(site)
    assert folder.stat().st_mode & 0o7777 == 0o700 and folder.stat().st_uid == 0
    assert (folder / "KEY").stat().st_mode & 0o7777 == 0o600 and (folder / "KEY").stat().st_uid == 0
    worker, app = site.find("worker")[0], site.find("app.py")[0]
    for uid in {worker.uid, app.uid, 65534}:
        for command in (["cat", str(folder / "KEY")], ["ls", str(folder)]):
            assert subprocess.run(command, user=uid, extra_groups=[], capture_output=True).returncode != 0
    # The worker's user is the controller's, too, and still may not look into that process.
    controller = site.find("controller")[0]
    for name in ("environ", "mem", "maps", "fd"):
        path = "/proc/%d/%s" % (controller.pid, name)
        command = ["ls", path + "/"] if name == "fd" else ["head", "-c", "1", path]
        assert subprocess.run(command, user=worker.uid, extra_groups=[], capture_output=True).returncode != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="users of their own need root")
def test_whoever_may_not_read_the_secrets_is_told_so_instead_of_a_guess(make_site):
    site = make_site(start=False, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}", MISSING="${secret:NONE}"))
    set_secret(site, "KEY", PLANTED)
    checked = subprocess.run([str(site.binary), "check", str(site.file)], env=site.environment, user="nobody",
                             extra_groups=[], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    for name in ("KEY", "NONE"):
        assert "warning[W002]: whether the secret `%s` is set cannot be seen" % name in checked.stdout
    assert "sudo terrace check" in checked.stdout
    for arguments in (["set", "KEY"], ["remove", "KEY"], ["list"]):
        done = secret(site, *arguments, value="x", user="nobody")
        assert done.returncode != 0 and "only the user that runs the site" in done.stderr, done


def test_an_ordinary_user_has_secrets_of_his_own(make_site):
    user = "nobody" if os.geteuid() == 0 else None
    site = make_site(start=False, user=user, files={"app.py": APP}, **app_tables(KEY="${secret:KEY}"))
    assert secret(site, "set", "KEY", value=PASSWORD, user=user).returncode == 0
    site.start()
    assert environment(site)["KEY"] == PASSWORD
    if user:
        stranger = secret(site, "set", "KEY", value="x")
        assert stranger.returncode == 1 and "only that user" in stranger.stderr


# ---- a planted secret is nowhere


def holders(site, planted: bytes) -> list[str]:
    """Every place of the site that holds those bytes, but those that are there to hold them: the
    secrets' own folder, and DB_PASSWORD_FILE as long as an instance runs."""
    found = []
    for one in descendants(site.child.pid):
        for name in ("cmdline", "environ"):
            try:
                content = Path("/proc/%d/%s" % (one.pid, name)).read_bytes()
            except OSError:
                continue
            if planted in content:
                found.append("%s of %s" % (name, one.title))
    for folder, _, names in os.walk(site.folder):
        for name in names:
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file() or secrets_folder(site) in path.parents:
                continue
            if path.parent == run_passwords(site) and site.child.poll() is None:
                continue
            if planted in path.read_bytes():
                found.append(str(path))
    return found


def test_a_planted_secret_is_found_nowhere_but_with_the_application(make_site):
    database = "postgres://shop:${secret:DB_PASSWORD}@db.example.com/shop"
    tables = app_tables(KEY="${secret:KEY}", OTHER="x")
    site = make_site(start=False, files={"app.py": APP}, db={"engine": None, "url": database}, **tables)
    set_secret(site, "KEY", PLANTED)
    set_secret(site, "DB_PASSWORD", PASSWORD)
    site.start()
    assert PLANTED in environment(site)["DATABASE_URL"]
    said = []

    def ask(*arguments):
        done = site.command(*arguments, check=False)
        said.append(done.stdout + done.stderr)

    def ask_everything():
        for command in ("check", "status", "logs", "reload"):
            ask(command)
            ask(command, "--json")
        ask("logs", "--terrace", "--access", "--app", "--lines", "1000")
        ask("secret", "list")
        ask("secret", "list", "--json")
        said.append("".join(site.metrics()))

    ask_everything()
    # Errors of the file, at the values themselves.
    site.write(db={"engine": None, "url": database + "?" * 3 + "#"}, app={**tables["app"], "run": "x ${secret:KEY}"})
    ask_everything()
    site.write(db={"engine": None, "url": "${secret:KEY}"}, **tables)
    ask_everything()
    # A change of each of them, and a roll that fails.
    set_secret(site, "KEY", PLANTED + "2")
    set_secret(site, "DB_PASSWORD", PASSWORD + "2")
    site.write(db={"engine": None, "url": database}, **app_tables(KEY="${secret:KEY}", OTHER="y"))
    ask_everything()
    ask("restart", "app")
    # Deaths.
    for name, number in (("controller", signal.SIGSEGV), ("worker", signal.SIGSEGV), ("app.py", signal.SIGABRT)):
        killed = site.kill(name, number)
        wait_until(lambda: any(one.pid != killed.pid for one in site.find(name)), "another " + name, 20)  # noqa: B023
    wait_until(lambda: site.get("/").status == 200, "the site serves again", 20)
    ask_everything()
    assert PLANTED not in "".join(said)
    application = {one.pid for one in site.find("app.py")}
    found = [place for place in holders(site, PLANTED.encode()) if "app.py" not in place]
    assert application and found == []
    site.stop()
    assert holders(site, PLANTED.encode()) == []
