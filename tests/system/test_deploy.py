"""Releases: deploy, rollback, and what becomes of a deploy that fails or is killed."""

import io
import json
import os
import random
import re
import signal
import subprocess
import tarfile
import threading
import time

import pytest
from client import Load
from harness import free_port, wait_until

SECONDS = 60  # of one command on a loaded machine

# Says its version, and does as /tell says.
APP = """
import http.server, os, time
VERSION = open("version").read().strip()

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if VERSION.startswith("slow") and self.path != "/up":
            time.sleep(0.6)
        if self.path.startswith("/say"):
            print(VERSION, "was asked for", self.path, flush=True)
        bad = VERSION.startswith("bad") and self.path != "/up"
        sick = VERSION.startswith("sick") and self.path == "/up"
        body = VERSION.encode()
        self.send_response(500 if bad or sick else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512

print("version", VERSION, flush=True)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def project(version: str, **more: str) -> dict[str, str]:
    return {"app.py": APP, "version": version, "public/s.txt": version, **more}


@pytest.fixture
def deployable(make_site):
    """A site that runs from its folder, version `folder`; app, web and the rest are Site's tables."""

    def make(start=True, app=None, environment=None, **tables):
        files = project("folder")
        site = make_site(
            start=start, files=files, environment=environment, ready="/up",
            app={"run": "exec /usr/bin/python3 app.py", "health": "/up", "instances": 2, "bake": "0s", "env": None,
                 "start_timeout": "30s", **(app or {})},
            web={"files": "public"}, **tables)
        return site

    return make


def write_project(site, version: str, **more: str):
    folder = site.folder / "projects" / version
    for path, content in project(version, **more).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return folder


def deploy(site, version: str, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    folder = write_project(site, version, **more)
    return command(site, "deploy", str(folder), *arguments)


def command(site, *arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(site.binary), arguments[0], "--file", str(site.file), *arguments[1:]],
        cwd=site.folder, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=SECONDS, **options)


def said(done: subprocess.CompletedProcess) -> str:
    return done.stdout.decode(errors="replace")


def begin_deploy(site, version: str, **more: str) -> subprocess.Popen:
    folder = write_project(site, version, **more)
    return subprocess.Popen(
        [str(site.binary), "deploy", "--file", str(site.file), str(folder)],
        cwd=site.folder, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def releases(site) -> dict:
    done = command(site, "releases", "--json")
    assert done.returncode == 0, said(done)
    return json.loads(done.stdout)


def until_no_deploy(site):
    """Also while the controller is being replaced."""

    def look():
        done = command(site, "releases", "--json")
        return done.returncode == 0 and "deploy" not in json.loads(done.stdout)

    wait_until(look, "no deploy is under way", SECONDS)


def numbers(site) -> list[int]:
    return [each["number"] for each in releases(site)["releases"] if each["state"] == "ready"]


def folders(site) -> list[str]:
    return sorted(os.listdir(site.folder / "terrace/state/releases"))


def assert_serves(site, version: str):
    assert site.get("/").text == version
    assert site.get("/s.txt").text == version


# ---- as it should be


def test_a_release_serves_files_and_application_and_can_be_rolled_back(deployable):
    site = deployable()
    assert_serves(site, "folder")
    for version in ("one", "two"):
        done = deploy(site, version)
        assert done.returncode == 0, said(done)
        assert_serves(site, version)
    assert "release 2 serves" in said(done)
    done = command(site, "rollback")
    assert done.returncode == 0, said(done)
    assert "migrates nothing" in said(done)
    assert_serves(site, "one")
    status = site.command("status").stdout
    assert ", release 1 " in status
    done = command(site, "rollback")
    assert done.returncode == 1
    assert "there is no release before release 1" in said(done)


def test_logs_tell_releases_apart(deployable):
    site = deployable()
    asked = {0: [], 1: [], 2: []}

    def ask(number: int, version: str):
        for _ in range(4):
            path = "/say%d" % sum(map(len, asked.values()))
            assert site.get(path).text == version
            asked[number].append("%s was asked for %s" % (version, path))
        path = "/s.txt?%d" % sum(map(len, asked.values()))
        assert site.get(path).text == version
        asked[number].append(path)

    def shown(*arguments: str) -> list[str]:
        return site.command("logs", "--lines", "10000", *arguments).stdout.splitlines()

    def requests(*arguments: str) -> list[str]:
        lines = [json.loads(line)["target"] for line in shown("--access", *arguments)]
        return sorted(line for line in lines if line.startswith(("/say", "/s.txt")))

    def all_logged() -> bool:
        texts = [text for texts in asked.values() for text in texts]
        printed = shown("--grep", "was asked for")
        return requests() == sorted(text.split()[-1] for text in texts) and len(printed) == str(texts).count("/say")

    ask(0, "folder")
    assert deploy(site, "one").returncode == 0
    ask(1, "one")
    # The next controller adopts the instances and tells the worker of them anew; so does the next worker hear of them.
    for who in ("controller", "worker"):
        wait_until(all_logged, "all lines", SECONDS, 0.2)  # those of a last moment a killed process takes with it
        killed = site.kill("terrace: " + who).pid
        wait_until(lambda: any(one.pid != killed for one in site.find("terrace: " + who)), "the next one", SECONDS)
        until_no_deploy(site)
        site.wait_until_serving(SECONDS)
        ask(1, "one")
    assert deploy(site, "two").returncode == 0
    ask(2, "two")
    assert command(site, "rollback").returncode == 0
    ask(1, "one")

    wait_until(all_logged, "all lines", SECONDS, 0.2)
    for number in (1, 2):
        lines = shown("--release", str(number))
        writer = re.compile(r"\S+Z (?:app-[12]@%d|[a-z]+-%d): (.*)" % (number, number))
        texts = [writer.fullmatch(line).group(1) for line in lines]
        assert sorted(text for text in texts if "asked" in text) == sorted(t for t in asked[number] if "?" not in t)
        assert texts.count("version " + {1: "one", 2: "two"}[number]) == {1: 4, 2: 2}[number]
        of_one = [line for line in lines if " app-1@" in line]
        assert shown("--release", str(number), "--instance", "app-1") == of_one and of_one
    assert all(re.search(r"Z app-[12]: ", line) for line in shown("--grep", "folder was asked"))
    assert any(" app-1@1: " in line for line in shown("--instance", "app-1"))

    for number in (1, 2):
        assert requests("--release", str(number)) == sorted(text.split()[-1] for text in asked[number])
    assert all(json.loads(line)["instance"] for line in shown("--access", "--grep", "/say"))
    static = [json.loads(line) for line in shown("--access", "--grep", "/s.txt")]
    assert {(one["instance"], one["release"]) for one in static} == {("", 0), ("", 1), ("", 2)}


def test_under_load_no_request_fails_and_files_switch_with_the_application(deployable):
    site = deployable(app={"bake": "1s"})
    assert deploy(site, "one").returncode == 0
    seen = []

    def known(response):
        seen.append(response.text)
        return response.status == 200

    with Load(site.port, "/", rate=150, expect=known) as app, \
            Load(site.port, "/s.txt", rate=50, clients=2, expect=lambda r: r.status == 200) as files:
        for version in ("two", "three"):
            done = deploy(site, version)
            assert done.returncode == 0, said(done)
            app.until(20)
        assert command(site, "rollback").returncode == 0
        app.until(20)
        files.until(5)
    assert not app.result.failures, app.result
    assert not files.result.failures, files.result
    assert list(dict.fromkeys(seen)) == ["one", "two", "three"]
    assert seen[-1] == "two"
    assert_serves(site, "two")


def test_the_last_three_are_kept(deployable):
    site = deployable()
    for version in ("one", "two", "three", "four"):
        assert deploy(site, version).returncode == 0
    assert numbers(site) == [2, 3, 4]
    assert folders(site) == ["2", "3", "4"]
    text = said(command(site, "releases"))
    assert re.search(r"^ +4 .* ready .* serves", text, re.M), text
    assert re.search(r"^ +3 .* for `terrace rollback`", text, re.M), text


def test_after_a_restart_of_everything_the_current_release_serves(deployable):
    site = deployable()
    assert deploy(site, "one").returncode == 0
    # Nothing that a release replaced is needed any more.
    (site.folder / "app.py").unlink()
    (site.folder / "public/s.txt").unlink()
    (site.folder / "public").rmdir()
    site.restart()
    assert_serves(site, "one")
    assert site.command("check").returncode == 0
    assert deploy(site, "two").returncode == 0
    assert_serves(site, "two")


def test_build_and_migrate_run_once_in_the_release_as_the_application(deployable):
    steps = "pwd; id -un; echo port=$PORT $WORD; echo x >> %s"
    site = deployable(app={"build": steps % "built", "migrate": steps % "$HOME/migrated", "env": {"WORD": "green"}},
                      start=False)
    site.start()
    home = site.folder / "terrace/state/home"
    assert (home / "migrated").read_text() == "x\n", "before the first start"
    site.restart()
    assert (home / "migrated").read_text() == "x\nx\n"
    done = deploy(site, "one")
    assert done.returncode == 0, said(done)
    release = site.folder / "terrace/state/releases/1"
    assert said(done).count("| %s\n" % release) == 2
    assert "| port= green\n" in said(done)
    assert (release / "built").read_text() == "x\n"
    assert (home / "migrated").read_text() == "x\nx\nx\n"
    assert command(site, "rollback").returncode == 1
    logged = (site.folder / "terrace/log/app.log").read_text()
    assert " build-1: port= green" in logged and " migrate-1: " in logged


def test_writable_paths_outlive_releases(deployable):
    site = deployable(app={"writable": ["data", "public/uploads"]})
    done = deploy(site, "one", **{"data/seed": "from the first", "public/uploads/a.txt": "first"})
    assert done.returncode == 0, said(done)
    assert site.get("/uploads/a.txt").text == "first"
    kept = site.folder / "terrace/state/writable/data"
    (kept / "written").write_text("by the application")
    done = deploy(site, "two", **{"data/seed": "from the second"})
    assert done.returncode == 0, said(done)
    data = site.folder / "terrace/state/releases/2/data"
    assert data.is_symlink()
    assert (data / "written").read_text() == "by the application"
    assert (kept / "seed").read_text() == "from the first"
    assert site.get("/uploads/a.txt").text == "first"
    # The application owns that folder; it cannot make the web server show another.
    uploads = site.folder / "terrace/state/writable/public/uploads"
    (uploads / "out").symlink_to("/etc")
    assert site.get("/uploads/out/hostname").status != 200
    assert_serves(site, "two")


def test_a_tar_on_standard_input_plain_or_packed(deployable):
    site = deployable()
    for index, (mode, version) in enumerate((("w", "one"), ("w:gz", "two"))):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=mode) as archive:
            archive.add(write_project(site, version), ".")
        done = command(site, "deploy", "-", input=packed.getvalue())
        assert done.returncode == 0, said(done)
        assert_serves(site, version)
    zstd = subprocess.run(["sh", "-c", "tar -C projects/one -c . | zstd -q"], cwd=site.folder, capture_output=True)
    if zstd.returncode == 0 and zstd.stdout:
        assert command(site, "deploy", "-", input=zstd.stdout).returncode == 0
        assert_serves(site, "one")


def test_a_site_file_in_the_release_that_differs_is_mentioned(deployable):
    site = deployable()
    done = deploy(site, "one", **{"site.toml": site.file.read_text().replace("instances = 2", "instances = 7")})
    assert done.returncode == 0, said(done)
    assert "note: the release's site.toml is not used" in said(done)
    assert "app: instances 2 -> 7" in said(done)


# ---- what fails leaves the old one


def fails(site, done, *texts: str, serving: str = "good", number: int = 1):
    assert done.returncode == 1, said(done)
    for text in (*texts, "release %d serves, as before" % number):
        assert text in said(done), said(done)
    assert_serves(site, serving)
    assert releases(site)["current"] == number
    assert folders(site) == [str(number)]


@pytest.mark.parametrize(
    "change, phase, reason",
    [
        ({"build": "echo cannot find it; exit 3"}, "build", "ended with exit status 3"),
        ({"build": "sleep 300", "build_timeout": "1s", "grace": "1s"}, "build", "ended with"),
        ({"migrate": "echo no such column; exit 4"}, "migrate", "ended with exit status 4"),
        ({"app.py": "import sys; print('wrong port'); sys.exit(5)"}, "start", "exit status 5"),
    ],
)
def test_what_fails_leaves_the_release_before(deployable, change, phase, reason):
    site = deployable()
    assert deploy(site, "good").returncode == 0
    app = {"run": "exec /usr/bin/python3 app.py", "health": "/up", "instances": 2, "bake": "0s", "env": None,
           "start_timeout": "30s"}
    if phase == "start":
        done = deploy(site, "next", **change)
    else:
        site.write(app={**app, **change}, web={"files": "public"})
        assert site.command("reload").returncode == 0
        done = deploy(site, "next")
    fails(site, done, "release 2 failed in `%s`" % phase, reason)
    if phase == "start":
        assert "| wrong port" in said(done)


def test_a_release_that_is_never_healthy_is_given_up(deployable):
    site = deployable(app={"start_timeout": "2s"})
    assert deploy(site, "good").returncode == 0
    done = deploy(site, "sick")
    fails(site, done, "release 2 failed in `start`", "was not healthy within 2.0 s", "answers 500")


@pytest.mark.parametrize("version, bake", [("bad", "20s"), ("slow", "8s")])
def test_a_first_minute_that_is_worse_goes_back_by_itself(deployable, version, bake):
    site = deployable(app={"bake": "1s"})
    assert deploy(site, "good").returncode == 0
    site.write(app={"run": "exec /usr/bin/python3 app.py", "health": "/up", "instances": 2, "bake": bake,
                    "env": None, "start_timeout": "30s"}, web={"files": "public"})
    assert site.command("reload").returncode == 0
    with Load(site.port, "/", rate=60, clients=40, expect=lambda r: True) as load:
        load.until(250)
        done = deploy(site, version)
        assert done.returncode == 1, said(done)
        load.until(20)
    assert not load.result.failures, load.result
    fails(site, done, "release 2 failed in `bake`", "it is worse than the release before")


@pytest.mark.skipif(os.geteuid() != 0, reason="one user is all users")
def test_files_that_the_web_server_may_not_read_are_no_release(deployable):
    site = deployable()
    assert deploy(site, "good").returncode == 0
    os.chmod(write_project(site, "closed") / "public", 0o700)
    done = deploy(site, "closed")
    fails(site, done, "release 2 failed in `build`", "may not read `public`")


def test_a_release_without_an_error_page_that_the_site_file_names_is_none(deployable):
    """It would serve, and the next start would refuse the site file."""
    site = deployable(start=False)
    app = {"run": "exec /usr/bin/python3 app.py", "health": "/up", "instances": 1, "bake": "0s", "env": None}
    site.write(app=app, web={"files": "public", "errors": {"502": "502.html"}})
    site.write_file("public/502.html", "of the folder")
    site.start()
    done = deploy(site, "bare")
    assert done.returncode == 1 and "`public/502.html`, which [web] errors names" in said(done), said(done)
    done = deploy(site, "large", **{"public/502.html": "x" * (1 << 20) + "x"})
    assert done.returncode == 1 and "is larger than 1 MiB" in said(done), said(done)
    assert deploy(site, "good", **{"public/502.html": "of the release"}).returncode == 0
    site.restart()
    assert_serves(site, "good")


def test_a_second_deploy_is_told_who_deploys(deployable):
    site = deployable(app={"build": "while [ ! -e go ]; do sleep 0.05; done"})
    first = begin_deploy(site, "one")
    try:
        wait_until(lambda: releases(site).get("deploy", {}).get("phase") == "build", "the first one builds")
        done = deploy(site, "two")
        assert done.returncode == 1
        assert re.search(r"the deploy of release 1 is under way, by \S+, since \d+ s, now at `build`", said(done))
        assert "deploy of release 1 is under way" in site.command("restart", "app", check=False).stderr + said(done)
        assert site.command("status").stdout.count("The deploy of release 1 is at `build`.")
        (site.folder / "terrace/state/releases/1/go").touch()
        assert first.wait(SECONDS) == 0, first.stdout.read()
    finally:
        first.kill()
        first.communicate()
    assert_serves(site, "one")


def test_ctrl_c_calls_a_deploy_off(deployable):
    site = deployable(app={"build": "echo builds; sleep 300"})
    first = begin_deploy(site, "one")
    try:
        wait_until(lambda: releases(site).get("deploy", {}).get("phase") == "build", "it builds")
        first.send_signal(signal.SIGINT)
        output = first.communicate(timeout=SECONDS)[0]
    finally:
        first.kill()
    assert first.returncode == 1
    assert "calling it off" in output and "it was called off" in output, output
    assert_serves(site, "folder")
    assert folders(site) == []


def test_a_terminal_that_goes_away_after_the_upload_changes_nothing(deployable):
    site = deployable(app={"build": "while [ ! -e go ]; do sleep 0.05; done"})
    first = begin_deploy(site, "one")
    wait_until(lambda: releases(site).get("deploy", {}).get("phase") == "build", "it builds")
    first.kill()
    first.communicate()
    (site.folder / "terrace/state/releases/1/go").touch()
    wait_until(lambda: releases(site)["current"] == 1, "it serves", SECONDS)
    assert_serves(site, "one")


# ---- hostile and broken uploads


def archive_of(*members) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize("packed", ["", "gzip"])
@pytest.mark.parametrize("part", [0.2, 0.9])
def test_an_upload_that_is_cut_off_is_no_release(deployable, packed, part):
    site = deployable()
    whole = subprocess.run(["sh", "-c", "tar -C %s -c . | %s" % (write_project(site, "cut"), packed or "cat")],
                           capture_output=True, check=True).stdout
    content = whole.rstrip(b"\0") if not packed else whole
    done = command(site, "deploy", "-", input=content[: int(len(content) * part)])
    assert done.returncode == 1
    assert "cut off" in said(done), said(done)
    until_no_deploy(site)
    assert folders(site) == []
    assert releases(site)["releases"][0]["reason"] == "the upload was cut off"
    assert_serves(site, "folder")
    assert deploy(site, "one").returncode == 0


@pytest.mark.parametrize("data", [b"", b"hello\n" * 200, b"\x1f\x8bno gzip at all"])
def test_what_is_no_archive_is_no_release(deployable, data):
    site = deployable()
    done = command(site, "deploy", "-", input=data)
    assert done.returncode == 1
    assert "nothing is deployed" in said(done)
    assert_serves(site, "folder")


@pytest.mark.parametrize(
    "members",
    [
        [(member("../../escaped"), b"x")],
        [(member("{outside}/escaped"), b"x")],
        [(member("link", tarfile.SYMTYPE, "{outside}"), b""), (member("link/escaped"), b"x")],
        [(member("up", tarfile.SYMTYPE, "../../.."), b""), (member("up/escaped"), b"x")],
        [(member("hard", tarfile.LNKTYPE, "{outside}/precious"), b""), (member("hard"), b"x")],
        [(member(".", tarfile.SYMTYPE, "{outside}"), b""), (member("escaped"), b"x")],
    ],
    ids=["dots", "absolute", "link", "relative-link", "hard-link", "folder-itself"],
)
def test_no_archive_writes_outside_of_its_release(deployable, members):
    site = deployable()
    outside = site.folder / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    (outside / "precious").write_text("precious")
    (outside / "precious").chmod(0o666)
    changed = []
    for info, content in members:
        copy = member(info.name.format(outside=outside), info.type, info.linkname.format(outside=outside))
        changed.append((copy, content))
    before = sorted(str(p) for p in site.folder.rglob("escaped"))
    command(site, "deploy", "-", input=archive_of(*changed))
    until_no_deploy(site)
    inside = site.folder / "terrace/state/releases"
    found = [p for p in site.folder.rglob("escaped") if inside not in p.parents]
    assert not before and not found
    assert (outside / "precious").read_text() == "precious"
    assert os.listdir(outside) == ["precious"]
    assert deploy(site, "one").returncode == 0
    assert_serves(site, "one")


# ---- accidents


SEED = int(os.environ.get("TERRACE_SEED", random.SystemRandom().randrange(1 << 30)))


def outcome(site, versions: set[str]) -> str:
    """What serves, once something does, files and application alike."""

    def look():
        try:
            app, file = site.get("/"), site.get("/s.txt")
        except OSError:
            return None
        return app.text if app.status == 200 and app.text == file.text else None

    version = wait_until(look, "files and application of one release serve", SECONDS)
    assert version in versions
    return version


@pytest.mark.parametrize("who", ["deploy", "controller", "worker", "supervisor"])
def test_killed_in_the_middle_of_a_deploy_the_site_works(deployable, who):
    print("TERRACE_SEED=%d" % SEED)
    rng = random.Random("%d %s" % (SEED, who))
    site = deployable(app={"build": "sleep 0.1", "migrate": "sleep 0.1", "bake": "300ms"})
    assert deploy(site, "start").returncode == 0
    serves = "start"
    for turn in range(5):  # of four: twenty in all
        version = "turn%d" % turn
        running = begin_deploy(site, version)
        time.sleep(rng.uniform(0.0, 1.2))
        if who == "deploy":
            running.kill()
        elif who == "supervisor":
            site.child.kill()
            site.child.wait()
        else:
            os.kill(site.find("terrace: " + who)[0].pid, signal.SIGKILL)
        running.communicate(timeout=SECONDS)
        if who == "supervisor":
            wait_until(lambda: not site.left_behind(0.0), "nothing is left", SECONDS)
            site.start()
        until_no_deploy(site)
        serves = outcome(site, {serves, version})
    done = deploy(site, "last")
    assert done.returncode == 0, said(done)
    assert outcome(site, {"last"}) == "last"
    wait_until(lambda: folders(site) == [str(n) for n in numbers(site)], "what was left is removed", SECONDS)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_release_of_another_user_is_not_gone_back_to_and_is_removed_one_day(deployable):
    site = deployable()
    for version in ("one", "two"):
        assert deploy(site, version).returncode == 0
    former = site.folder / "terrace/state/releases/1"
    for path in (former, *former.rglob("*")):
        os.chown(path, 61195, -1)
    former.chmod(0o700)
    done = command(site, "rollback")
    assert done.returncode == 1 and "belongs to the user 61195" in said(done), said(done)
    assert "[app] user was changed" in said(done)
    assert_serves(site, "two")
    for version in ("three", "four"):
        assert deploy(site, version).returncode == 0
    assert folders(site) == ["2", "3", "4"]


def test_no_upgrade_by_a_signal_in_the_first_minute_of_a_release(deployable):
    site = deployable(app={"bake": "5s"})
    first = begin_deploy(site, "one")
    wait_until(lambda: releases(site).get("deploy", {}).get("phase") == "bake", "the bake", SECONDS)
    site.child.send_signal(signal.SIGUSR2)
    wait_until(lambda: "busy: a deploy or a backup is under way" in site.log(), "the refusal", SECONDS)
    output, _ = first.communicate(timeout=SECONDS)
    assert first.returncode == 0, output
    assert json.loads(site.command("status", "--json").stdout)["program"]["upgrades"] == 0
    site.child.send_signal(signal.SIGUSR2)
    wait_until(lambda: "took over" in site.log(), "the upgrade", SECONDS)
    assert_serves(site, "one")


def test_reloads_that_bind_another_address_bring_no_older_release_back(deployable):
    site = deployable()
    text, over = site.file.read_text(), threading.Event()

    def reload_all_the_time():
        while not over.is_set():
            site.file.write_text(text.replace(str(site.admin_port), str(free_port())))
            site.command("reload", check=False)

    reloads = threading.Thread(target=reload_all_the_time)
    reloads.start()
    try:
        for version in ("one", "two", "three"):
            done = deploy(site, version)
            assert done.returncode == 0, said(done)
            assert_serves(site, version)
        assert command(site, "rollback").returncode == 0
        assert_serves(site, "two")
    finally:
        over.set()
        reloads.join()
    assert_serves(site, "two")


# ---- what is damaged, and what fails before the first release


def kill_controller(site):
    before = json.loads(site.command("status", "--json", check=False).stdout)["controller"]
    os.kill(before["pid"], signal.SIGKILL)

    def look():
        text = site.command("status", "--json", check=False).stdout
        now = json.loads(text) if text else {}
        fresh = now.get("controller", before)["starts"] > before["starts"] and now["state"] == "serving"
        return now if fresh and now["instances"] else None

    return wait_until(look, "another controller", SECONDS)


def test_without_a_readable_table_of_releases_what_runs_goes_on_and_no_other_version_starts(deployable):
    site = deployable(app={"migrate": "echo x >> $HOME/migrated"})
    assert deploy(site, "one").returncode == 0
    table = site.folder / "terrace/state/releases.json"
    good = table.read_text()
    table.write_text(good[:-20])
    migrated = (site.folder / "terrace/state/home" / "migrated").read_text()
    pids = sorted(one["pid"] for one in json.loads(site.command("status", "--json").stdout)["instances"])
    now = kill_controller(site)
    assert_serves(site, "one")
    assert sorted(one["pid"] for one in now["instances"]) == pids
    assert now["release"] == 1 and str(table) in now["error"]
    os.kill(site.find("terrace: worker")[0].pid, signal.SIGKILL)
    wait_until(lambda: site._is_serving() and site.get("/s.txt").text == "one", "the release's files", SECONDS)
    for asked in (deploy(site, "two"), command(site, "rollback"), command(site, "reload")):
        assert asked.returncode == 1 and "releases.json cannot be read" in said(asked), said(asked)
    assert (site.folder / "terrace/state/home" / "migrated").read_text() == migrated
    table.write_text(good)
    assert site.command("reload").returncode == 0
    done = deploy(site, "two")
    assert done.returncode == 0, said(done)
    assert_serves(site, "two")
    # With nothing running there is nothing to keep.
    site.stop()
    table.write_text("{")
    site.start(wait=False)
    assert site.child.wait(SECONDS) == 1
    last = site.log()[site.log().rindex("error: "):]
    assert "%s cannot be read" % table in last and "put a copy of it back" in last
    table.unlink()
    site.start()
    assert_serves(site, "folder")
    # The numbers of the folders that are there still are not given again.
    done = deploy(site, "three")
    assert done.returncode == 0, said(done)
    assert_serves(site, "three")
    assert folders(site) == ["3"]


def test_a_first_migrate_that_fails_leaves_a_site_that_can_be_deployed_to(deployable):
    site = deployable(app={"migrate": "cat $HOME/ok || { echo no such column; exit 4; }"}, start=False)
    site.start(wait=False)
    wait_until(lambda: "serving http" in site.log(), "serving", SECONDS)
    # Whoever has started it reads why there is no application.
    assert "ended with exit status 4: the application does not start" in site.log()
    assert "  no such column\n" in site.log()
    assert site.get("/s.txt").text == "folder"
    shown = site.command("status", check=False)
    assert "The application does not run: `cat $HOME/ok" in shown.stdout and shown.returncode == 1
    assert "has not succeeded" in said(command(site, "restart", "app"))
    failed = deploy(site, "one")
    assert failed.returncode == 1 and "no such column" in said(failed), said(failed)
    (site.folder / "terrace/state/home" / "ok").write_text("")
    assert deploy(site, "two").returncode == 0
    assert_serves(site, "two")
    assert site.command("status").returncode == 0


def test_a_first_migrate_that_failed_is_tried_again_by_a_reload(deployable):
    site = deployable(app={"migrate": "cat $HOME/ok"}, start=False)
    site.start(wait=False)
    wait_until(lambda: "serving http" in site.log(), "serving", SECONDS)
    (site.folder / "terrace/state/home" / "ok").write_text("")
    assert site.command("reload").returncode == 0
    wait_until(lambda: site._is_serving(), "the application", SECONDS)
    assert_serves(site, "folder")


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    """Takes all the room that there is; what was removed just now may come back late."""
    for _ in range(3):
        try:
            with open(path, "ab", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            time.sleep(0.1)


def test_a_full_disk_stops_no_site(deployable, small_disk):
    site = deployable(environment={"TERRACE_FOLDER": str(small_disk / "terrace")})
    assert deploy(site, "one").returncode == 0
    with Load(site.port, "/", rate=50) as load:
        done = deploy(site, "two", **{"large": "x" * (4 << 20)})
        assert done.returncode == 1, said(done)
        assert "No space left on device" in said(done) or "could not be unpacked" in said(done)
        filling = small_disk / "filling"
        fill(filling)
        done = deploy(site, "three")
        assert done.returncode == 1, said(done)
        assert_serves(site, "one")
        filling.unlink(missing_ok=True)
        done = deploy(site, "four")
        assert done.returncode == 0, said(done)
        load.until(20)
    assert not load.result.failures, load.result
    assert_serves(site, "four")
