"""The command line: every command with right and wrong input, without a site and on a running one."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from harness import BINARY, ROOT, wait_until

SECONDS = 30


def terrace(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(BINARY), *arguments], cwd=cwd, capture_output=True, text=True, timeout=SECONDS,
        env={"PATH": "/usr/bin:/bin", "TERRACE_FOLDER": str(cwd / "terrace"), **environment},
    )


def listed_commands() -> list[str]:
    text = subprocess.run([str(BINARY), "--help"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    commands = text.partition("Commands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\S+) ", commands, re.M)


# ---- without a site


def test_the_help_lists_the_commands_of_the_manual():
    manual = (ROOT / "docs/commands.md").read_text()
    assert listed_commands() == re.findall("^## terrace (.*)$", manual, re.MULTILINE)


def test_every_command_has_a_help_with_examples_and_a_place_in_the_manual(tmp_path):
    manual = (ROOT / "docs/commands.md").read_text()
    for command in listed_commands():
        done = terrace(command, "--help", cwd=tmp_path)
        assert done.returncode == 0 and not done.stderr
        assert "Usage: terrace %s" % command in done.stdout
        assert "Examples:\n  terrace %s" % command in done.stdout
        assert max(len(line) for line in done.stdout.splitlines()) <= 110
        assert "\n## terrace %s\n" % command in manual


def test_every_option_stands_in_the_manual_of_its_command(tmp_path):
    sections = dict(re.findall(r"^## terrace (\S+)\n(.*?)(?=^## |\Z)", (ROOT / "docs/commands.md").read_text(), re.M | re.S))
    everywhere = {"--help", "--file", "--json", "--follow"}
    for command in listed_commands():
        options = set(re.findall(r"--[a-z]+", terrace(command, "--help", cwd=tmp_path).stdout.partition("Examples:")[0]))
        for option in options - everywhere:
            assert option in sections[command], (command, option)


def test_the_version(tmp_path):
    text = terrace("--version", cwd=tmp_path).stdout
    assert re.fullmatch(r"terrace \d+\.\d+\.\d+\n", text)
    assert terrace("version", cwd=tmp_path).stdout == text
    assert "terrace %s\n" % json.loads(terrace("version", "--json", cwd=tmp_path).stdout)["version"] == text


@pytest.mark.parametrize(
    "words, said",
    [
        (["staus"], "did you mean `status`?"),
        (["lab", "upp"], "did you mean `up`?"),
        (["firewall"], "comes with step 2"),
        (["drill"], "comes with step 3"),
        (["status", "--wacth"], "did you mean `--watch`?"),
        (["logs", "--lines", "x"], "--lines"),
        (["restart"], "WHAT"),
        (["restart", "database"], "database"),
        (["check", "a.toml", "--file", "b.toml"], "one file"),
        (["--file", "a.toml", "up"], "options follow the command"),
        ([], ""),
    ],
)
def test_a_wrong_command_line_is_explained_and_ends_with_two(words, said, tmp_path):
    done = terrace(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_without_a_site_file_every_command_says_where_it_looked(tmp_path):
    if Path("/etc/terrace/site.toml").exists():
        pytest.skip("this machine has a site")
    for words in (["up"], ["check"], ["status"], ["logs"], ["reload"], ["restart", "app"]):
        done = terrace(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert "./site.toml" in done.stderr and "/etc/terrace/site.toml" in done.stderr
    done = terrace("check", "--json", cwd=tmp_path)
    assert done.returncode == 2 and json.loads(done.stdout)["ok"] is False


def test_check_tells_right_from_wrong(tmp_path):
    (tmp_path / "site.toml").write_text('[app]\nrun = "true"\n')
    done = terrace("check", cwd=tmp_path)
    assert done.returncode == 0 and "worker threads" in done.stdout and "web.listen" in done.stdout
    derived = json.loads(terrace("check", "--json", cwd=tmp_path).stdout)
    assert derived["ok"] and derived["errors"] == 0 and "web.listen" in derived["derived"]

    (tmp_path / "other.toml").write_text('[web]\nfilez = "x"\n[ap]\n')
    done = terrace("check", "other.toml", cwd=tmp_path)
    assert done.returncode == 1
    assert "other.toml:2:1" in done.stdout and "did you mean `files`?" in done.stdout
    assert "did you mean `app`?" in done.stdout
    found = json.loads(terrace("check", "--file", "other.toml", "--json", cwd=tmp_path).stdout)
    assert not found["ok"] and found["errors"] == 2
    assert {finding["line"] for finding in found["findings"]} == {2, 3}
    assert terrace("check", "none.toml", cwd=tmp_path).returncode == 2


def test_the_schema_is_json_and_the_manual_describes_the_tables(tmp_path):
    schema = json.loads(terrace("schema", cwd=tmp_path).stdout)
    manual = terrace("schema", "--manual", cwd=tmp_path).stdout
    assert {"site", "app", "web", "db", "servers"} <= set(schema["properties"])
    for table in ("site", "app", "web", "db"):
        assert "[%s]" % table in manual


@pytest.mark.parametrize("words", [["status"], ["reload"], ["restart", "app"]])
def test_a_site_that_does_not_run_is_said_in_words_and_in_json(words, tmp_path):
    (tmp_path / "site.toml").write_text('[app]\nrun = "true"\n')
    done = terrace(*words, cwd=tmp_path)
    assert done.returncode == 1 and not done.stdout
    assert "terrace up" in done.stderr
    done = terrace(*words, "--json", cwd=tmp_path)
    assert done.returncode == 1
    assert "does not run" in json.loads(done.stdout)["error"]


def test_logs_that_are_not_there_are_said(tmp_path):
    (tmp_path / "site.toml").write_text('[app]\nrun = "true"\n')
    done = terrace("logs", cwd=tmp_path)
    assert done.returncode == 2 and "app.log" in done.stderr


def test_up_refuses_a_wrong_site_file_and_shows_its_errors(tmp_path):
    (tmp_path / "site.toml").write_text('[web]\nfilez = "x"\n')
    done = terrace("up", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean `files`?" in done.stderr + done.stdout


# ---- on a running site


def status_of(site) -> dict:
    return json.loads(site.command("status", "--json", check=False).stdout)


def wait_for_status(site, condition, what: str) -> dict:
    def look():
        status = status_of(site)
        return status if condition(status) else None

    return wait_until(look, what, SECONDS, 0.1)


def all_up(status: dict) -> bool:
    return status["state"] == "serving" and all(i["state"] == "up" for i in status["instances"])


class Follower:
    """`terrace logs -f` in the background; lines() is what it has printed."""

    def __init__(self, site, *arguments: str):
        self.output = site.folder / ("follow-%d" % time.monotonic_ns())
        with open(self.output, "wb") as output:
            self.child = subprocess.Popen(
                [str(BINARY), "logs", "--file", str(site.file), "-f", *arguments],
                stdout=output, stderr=subprocess.STDOUT, cwd=site.folder, env=site.environment,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def wait_for(self, text: str) -> str:
        return wait_until(lambda: next((line for line in self.lines() if text in line), None), text, SECONDS)


def test_up_says_where_to_look(site):
    site.wait_for_log("serving http://localhost:%d" % site.port)
    site.wait_for_log("http://127.0.0.1:%d/metrics" % site.admin_port)


def test_status_shows_what_runs(site):
    for _ in range(3):
        site.get("/")
    site.get("/status/500")
    status = wait_for_status(site, lambda s: all_up(s) and s["totals"]["requests"] >= 4, "four requests")
    assert status["site"] == "test" and status["path"] == str(site.file)
    assert [i["name"] for i in status["instances"]] == ["app-1"]
    assert status["totals"]["statuses"]["5xx"] == 1
    assert status["instances"][0]["requests"] >= 4
    assert {listener["purpose"] for listener in status["listeners"]} == {"web", "admin"}
    pids = {one.pid for one in site.processes()}
    assert {status[name]["pid"] for name in ("supervisor", "controller", "worker")} <= pids

    done = site.command("status")
    assert done.returncode == 0
    text = done.stdout
    print(text)
    assert re.search(r"^test  serving  ", text)
    for row in (r"^supervisor +%d +1$" % status["supervisor"]["pid"], r"^web +127\.0\.0\.1:%d$" % site.port,
                r"^app-1 +up +\d+ ", r"^ +\d+ +- +\d+ +0 +0 +1 "):
        assert re.search(row, text, re.M), row
    assert "\x1b" not in text


def test_status_watch_shows_it_again_and_again(site):
    with subprocess.Popen(
        [str(BINARY), "status", "--watch", "--json", "--file", str(site.file)],
        stdout=subprocess.PIPE, text=True, env=site.environment,
    ) as child:
        looks = [json.loads(child.stdout.readline()) for _ in range(2)]
        child.kill()
    assert [look["site"] for look in looks] == ["test", "test"]


def test_an_app_that_keeps_ending_is_shown_with_its_last_words(make_site):
    site = make_site(start=False, app={"run": "/bin/sh -c 'echo it is broken; exit 3'"})
    site.start(wait=False)
    wait_until(lambda: "it is broken" in site.command("status", check=False).stdout, "its last words", SECONDS, 0.1)
    done = site.command("status", check=False)
    assert done.returncode == 1
    assert "exit status 3" in done.stdout
    assert "    | it is broken" in done.stdout


def test_logs_show_what_the_app_prints_and_follow_it(site):
    site.get("/log/before")
    with Follower(site, "--lines", "1000") as follower:
        follower.wait_for("before")
        site.get("/log/behind")
        line = follower.wait_for("behind")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z app-1: behind", line)
    assert site.command("logs", "--lines", "1").stdout == line + "\n"
    as_json = json.loads(site.command("logs", "--lines", "1", "--json").stdout)
    assert (as_json["log"], as_json["instance"], as_json["text"]) == ("app", "app-1", "behind")


def test_logs_show_what_terrace_says(site):
    lines = site.command("logs", "--terrace", "--lines", "1000").stdout.splitlines()
    assert lines and all(re.match(r"\d{4}-.*Z (info|warning|error) (supervisor|controller|worker): ", line) for line in lines)
    both = site.command("logs", "--terrace", "--app", "--lines", "1").stdout.splitlines()
    assert {line.split()[0] for line in both} <= {"app", "terrace"}


def test_logs_of_one_instance(make_site):
    site = make_site(app={"instances": 2})
    wait_for_status(site, all_up, "two instances")
    for number in range(20):
        site.get("/log/number-%d" % number)
    # What an instance prints is in the log a moment later: its answer does not wait for that.
    shown = lambda: site.command("logs", "--lines", "1000").stdout.splitlines()  # noqa: E731
    wait_until(lambda: sum("number-" in line for line in shown()) == 20, "every line", SECONDS, 0.1)
    lines = shown()
    only = site.command("logs", "--lines", "1000", "--instance", "app-2").stdout.splitlines()
    assert only == [line for line in lines if " app-2: " in line]


def test_the_access_log_is_one_json_line_per_request(site):
    with Follower(site, "--access") as follower:
        site.get("/bytes/1000?from=follow", [("User-Agent", 'a "quoted" one'), ("Referer", "https://a/")])
        entry = json.loads(follower.wait_for("from=follow"))
    assert entry["method"] == "GET" and entry["target"] == "/bytes/1000?from=follow"
    assert entry["status"] == 200 and entry["bytes_sent"] == 1000 and entry["protocol"] == "HTTP/1.1"
    assert entry["served_from"] == "app" and entry["instance"] == "app-1" and entry["client"] == "127.0.0.1"
    assert entry["user_agent"] == 'a "quoted" one' and entry["referer"] == "https://a/"
    assert 0 <= entry["duration_seconds"] < 10 and entry["request_id"]
    wrapped = json.loads(site.command("logs", "--access", "--json", "--lines", "1").stdout)
    assert wrapped["log"] == "access" and wrapped["entry"]["host"].startswith("localhost")


def test_following_goes_on_after_the_access_log_was_rotated(site):
    with Follower(site, "--access", "--lines", "0") as follower:
        site.get("/first")
        follower.wait_for('"/first"')
        log = next(site.folder.glob("**/access.log"))
        log.rename(log.with_name("access.log.1"))
        wait_until(log.exists, "a new access.log", SECONDS)
        site.get("/second")
        follower.wait_for('"/second"')


def test_the_access_log_is_readable_or_off_when_asked(make_site):
    readable = make_site(web={"access_log": "readable"})
    off = make_site(web={"access_log": "off"})
    with Follower(readable, "--access") as follower:
        readable.get("/hello?readable", [("User-Agent", "tester")])
        line = follower.wait_for("hello?readable")
    assert re.search(r'Z 127\.0\.0\.1 "GET localhost(:\d+)?/hello\?readable HTTP/1\.1" 200 \d+ \d+\.\d{3}ms app-1 \S+ "" "tester"$', line)
    off.get("/hello")
    assert "hello" not in off.command("logs", "--access", check=False).stdout


def test_reload_takes_a_changed_file_and_says_what_changed(site):
    assert "nothing changed" in site.command("reload").stdout
    site.write(web={"headers": {"X-Tried": "yes"}})
    done = site.command("reload")
    assert "web" in done.stdout and "version" in done.stdout
    wait_until(lambda: site.get("/")["x-tried"] == "yes", "the new header", SECONDS)
    site.write()
    answer = json.loads(site.command("reload", "--json").stdout)
    assert answer["ok"] and answer["changed"]


def test_reload_refuses_a_wrong_file_and_the_site_stays(site):
    site.write(web={"filez": "x"})
    done = site.command("reload", check=False)
    assert done.returncode == 1
    assert "did you mean `files`?" in done.stderr
    assert site.get("/").status == 200
    answer = json.loads(site.command("reload", "--json", check=False).stdout)
    assert answer["ok"] is False and answer["error"]
    shown = site.command("status", check=False)
    assert shown.returncode == 1 and "reload was refused" in shown.stdout


def test_restart_replaces_every_instance_and_says_so(make_site):
    site = make_site(app={"instances": 2})
    before = wait_for_status(site, all_up, "two instances")
    done = site.command("restart", "app")
    print(done.stdout)
    after = wait_for_status(site, lambda s: all_up(s) and len(s["instances"]) == 2, "two instances again")
    assert not {i["pid"] for i in before["instances"]} & {i["pid"] for i in after["instances"]}
    assert "one by one" in done.stdout and "2 replaced in" in done.stdout
    for name in ("app-1", "app-2"):
        assert re.search(r"^  %s  the new one is healthy" % name, done.stdout, re.M)
    assert json.loads(site.command("restart", "app", "--json").stdout)["instances"] == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_stranger_is_told_that_the_site_is_another_users(site):
    done = subprocess.run(
        [str(BINARY), "status", "--file", str(site.file)], user="nobody", group="nogroup", extra_groups=[],
        env=site.environment, capture_output=True, text=True, timeout=SECONDS,
    )
    assert done.returncode == 2 and not done.stdout
    assert "another user" in done.stderr and "sudo" in done.stderr


def test_a_second_up_of_the_same_site_is_refused(site):
    done = site.command("up", check=False)
    assert done.returncode != 0
    assert "run" in done.stderr + done.stdout
    assert site.get("/").status == 200
