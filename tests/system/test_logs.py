"""The logs over their rotation, over a full disk, and in the journal; and what `terrace logs` picks of them."""

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager

import pytest

from client import Load
from harness import BINARY, wait_until

SECONDS = 30.0
LINE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def log_folder(site):
    return site.folder / "terrace/log"


def parts(site, log: str) -> list[str]:
    """The rotated files of that log, in their order."""
    return sorted(path.name for path in log_folder(site).glob(log + "*-*"))


@contextmanager
def following(site, *arguments: str):
    """`terrace logs -f`; gives a function to what it has printed."""
    output = site.folder / ("follow-%d" % time.monotonic_ns())
    with open(output, "wb") as file:
        child = subprocess.Popen([str(BINARY), "logs", "--file", str(site.file), "-f", *arguments],
                                 stdout=file, stderr=subprocess.STDOUT, cwd=site.folder, env=site.environment)
    try:
        yield lambda: output.read_text().splitlines()
    finally:
        child.kill()
        child.wait()


def targets(lines) -> list[str]:
    return [json.loads(line)["target"] for line in lines]


# ---- rotation


def test_rotation_loses_no_line_of_a_busy_log_and_following_goes_on(make_site):
    site = make_site(logs={"file_size": "4KB", "total": "10MB"}, files={"public/a.txt": "a"}, web={"files": "public"})
    sent = []

    def send_some() -> bool:
        with site.connect() as connection:
            for _ in range(10):
                sent.append("/a.txt?%d" % len(sent))
                assert connection.get(sent[-1]).status == 200
            assert connection.get("/log/%s" % ("x" * 200)).status == 200
        return len(parts(site, "access")) >= 4 and len(parts(site, "app")) >= 2

    with following(site, "--access", "--grep", "/a.txt?", "--since", "1h") as followed:
        wait_until(send_some, "several rotations", 2 * SECONDS, 0.02)
        wait_until(lambda: len(followed()) >= len(sent), "every line followed", SECONDS)
        # Each core writes its lines together: they are in order only within one connection.
        assert sorted(targets(followed())) == sorted(sent)
    wait_until(lambda: all(name.endswith(".zst") for name in parts(site, "access")), "compressed files", SECONDS)
    shown = site.command("logs", "--access", "--since", "1h", "--grep", "/a.txt?").stdout.splitlines()
    assert sorted(targets(shown)) == sorted(sent)
    newest = site.command("logs", "--access", "--lines", str(len(sent)), "--grep", "/a.txt?").stdout.splitlines()
    assert newest == shown
    app = site.command("logs", "--since", "1h", "--grep", "xxx").stdout.splitlines()
    assert len(app) == len(sent) / 10
    for name in parts(site, "access"):
        text = subprocess.run(["zstd", "-dc", log_folder(site) / name], capture_output=True, text=True, check=True).stdout
        assert text.endswith("\n") and all(json.loads(line)["time"] for line in text.splitlines())


def test_all_logs_together_keep_to_their_total(make_site):
    site = make_site(logs={"file_size": "20KB", "total": "200KB"})
    present = lambda: {name.removesuffix(".zst") for name in parts(site, "a")}  # noqa: E731
    seen: set[str] = set()
    number = 0

    def write_some() -> bool:
        """Text that no compression makes small; true once a file that was there is gone."""
        nonlocal number
        with site.connect() as connection:
            for _ in range(10):
                number += 1
                assert connection.get("/log/%06d-%s" % (number, os.urandom(100).hex())).status == 200
        gone = seen - present()
        seen.update(present())
        return bool(gone)

    wait_until(write_some, "a file that had to go", SECONDS, 0.1)
    size = lambda: sum(path.stat().st_size for path in log_folder(site).iterdir())  # noqa: E731
    wait_until(lambda: size() <= 200_000, "200 KB of logs at most", SECONDS)
    wait_until(lambda: "%06d-" % number in site.command("logs", "--lines", "1").stdout, "the last line", SECONDS)


def test_terraces_own_log_goes_on_after_it_was_moved_away(site):
    log = log_folder(site) / "terrace.log"
    log.rename(log.with_name("terrace.log.1"))
    site.kill("worker")
    wait_until(lambda: log.exists() and "started again" in log.read_text(), "a line in the new file", SECONDS)
    lines = site.command("logs", "--terrace", "--lines", "1000").stdout.splitlines()
    assert any("accepted" in line for line in lines) and any("started again" in line for line in lines)


# ---- a full disk


@pytest.fixture
def small_disk(make_site):
    """A running site whose TERRACE_FOLDER is a file system of 2 MB; the application prints all the time."""
    site = make_site(
        start=False,
        files={"public/a.txt": "a"},
        web={"files": "public"},
        app={"run": "/bin/sh -c 'while sleep 0.02; do echo $(seq 1 900); done & exec /usr/bin/python3 -u recorder.py'"},
    )
    folder = site.folder / "terrace"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", folder]).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield site.start()
        site.stop()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder) -> list:
    """Leaves not one byte free."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return filler


def test_a_full_disk_never_stops_serving_and_logging_is_back_with_the_room(small_disk):
    site = small_disk
    dropped = lambda: site.metrics()["terrace_access_log_dropped_total"]  # noqa: E731
    with Load(site.port, "/a.txt", rate=100) as files, Load(site.port, "/echo", rate=50) as app:
        files.until(20)
        filler = fill(site.folder / "terrace")
        # What is left of the last pages of the logs fills up first.
        wait_until(lambda: dropped() > 0, "dropped lines", SECONDS)
        files.until(100)
        app.until(50)
        filler.unlink()
        wait_until(lambda: "lines were lost: No space left" in site.command("logs", "--lines", "1000").stdout,
                   "the line about the lost ones", SECONDS)
        before = dropped()
        assert site.get("/a.txt?there-is-room").status == 200
        wait_until(lambda: "there-is-room" in site.command("logs", "--access", "--lines", "500").stdout,
                   "a line in the access log", SECONDS)
        assert dropped() == before
    assert not files.result.failures, files.result
    assert not app.result.failures, app.result
    for line in (log_folder(site) / "app.log").read_text().splitlines():
        assert LINE_TIME.match(line), "half a line: %r" % line


# ---- the journal


def test_the_journal_gets_terraces_own_lines_with_their_level_and_nothing_twice(make_site):
    site = make_site(start=False)
    site.output.touch()
    about = site.output.stat()
    site.environment["JOURNAL_STREAM"] = "%d:%d" % (about.st_dev, about.st_ino)
    site.start()
    site.get("/log/printed-by-the-app")
    site.kill("worker")
    site.wait_for_log("started again")
    lines = site.log().splitlines()
    own = [line for line in lines if line.startswith("<")]
    assert any(re.match(r"<6>controller: the site file is accepted", line) for line in own), lines
    assert any(re.match(r"<4>supervisor: .*started again process=worker", line) for line in own), lines
    assert len(own) == len(set(own))
    assert not any(LINE_TIME.search(line) for line in lines), lines
    assert "printed-by-the-app" not in site.log()
    kept = (log_folder(site) / "terrace.log").read_text().splitlines()
    assert sum("started again" in line for line in kept) == 1
    assert all(LINE_TIME.match(line) for line in kept)


# ---- what is picked


@pytest.fixture
def written(make_site):
    """A site that does not run, with logs of three days in several files."""
    site = make_site(start=False)
    folder = log_folder(site)
    folder.mkdir(parents=True)
    (folder / "app-20261121T000000.000Z.log").write_text(
        "2026-11-20T10:00:00.000Z app-1@6: oldest\n"
        "2026-11-20T11:00:00.000Z app-2@6: ERROR: it broke\n")
    subprocess.run(["zstd", "-q", "--rm", folder / "app-20261121T000000.000Z.log"], check=True)
    (folder / "app-20261122T000000.000Z.log").write_text(
        "2026-11-21T10:00:00.000Z build-7: added 58 packages\n"
        "2026-11-21T11:00:00.000Z app-1@7: WARNING:root:careful\n")
    (folder / "app.log").write_text(
        "2026-11-22T10:00:00.000Z app-1@7: listening\n"
        "2026-11-22T11:00:00.000Z app-2@7: ended: exit status 3\n")
    (folder / "access.log").write_text(
        '{"time":"2026-11-22T10:30:00.000Z","target":"/a","status":200,"instance":"app-1","release":7,"request_id":"x"}\n'
        '{"time":"2026-11-22T12:00:00.000Z","target":"/b","status":502,"instance":"app-2","release":7,"request_id":"y"}\n')
    (folder / "terrace.log").write_text("2026-11-22T10:15:00.000Z warning supervisor: careful process=worker\n")
    return site


@pytest.mark.parametrize("arguments, words", [
    ([], ["oldest", "broke", "packages", "careful", "listening", "ended"]),
    (["--lines", "3"], ["careful", "listening", "ended"]),
    (["--since", "2026-11-21"], ["packages", "careful", "listening", "ended"]),
    (["--since", "2026-11-20", "--until", "2026-11-21T10:30"], ["oldest", "broke", "packages"]),
    (["--since", "2026-11-20T10:00:00.001Z", "--lines", "1", "--until", "2026-11-21"], ["broke"]),
    (["--release", "6"], ["oldest", "broke"]),
    (["--release", "7"], ["packages", "careful", "listening", "ended"]),
    (["--instance", "app-2"], ["broke", "ended"]),
    (["--level", "warning"], ["broke", "careful", "ended"]),
    (["--level", "error", "--app", "--access"], ["broke", "/b"]),
    (["--grep", "are", "--level", "debug"], ["careful"]),
    (["--since", "2026-11-22", "--app", "--access", "--terrace"], ["listening", "careful", "/a", "ended", "/b"]),
    (["--lines", "1", "--app", "--access", "--terrace"], ["careful", "ended", "/b"]),
    (["--since", "2026-11-23"], []),
])
def test_logs_picks_lines_by_all_that_was_asked_over_all_files(written, arguments, words):
    lines = written.command("logs", *arguments).stdout.splitlines()
    assert len(lines) == len(words), lines
    for line, word in zip(lines, words):
        assert word in line


def test_logs_gives_the_parts_of_a_line_as_json(written):
    lines = written.command("logs", "--json", "--since", "2026-11-22", "--app", "--access").stdout.splitlines()
    assert json.loads(lines[0]) == {"log": "app", "time": "2026-11-22T10:00:00.000Z", "instance": "app-1",
                                    "release": 7, "level": "info", "text": "listening"}
    assert json.loads(lines[1])["entry"]["target"] == "/a"


@pytest.mark.parametrize("time", ["yesterday", "10", "2026-11-22T10:00+01:00"])
def test_logs_refuses_what_is_no_time(written, time):
    done = written.command("logs", "--since", time, check=False)
    assert done.returncode == 2 and "is no time" in done.stderr and not done.stdout


def test_a_static_file_has_a_request_id_of_its_own_too(make_site):
    site = make_site(files={"public/a.txt": "a"}, web={"files": "public"})
    for _ in range(2):
        site.get("/a.txt")
    find = lambda: site.command("logs", "--access", "--grep", "/a.txt").stdout.splitlines()  # noqa: E731
    wait_until(lambda: len(find()) == 2, "two lines", SECONDS)
    ids = {json.loads(line)["request_id"] for line in find()}
    assert len(ids) == 2 and all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
