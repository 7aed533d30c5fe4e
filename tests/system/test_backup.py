"""Backups of the embedded database and the way back, with an application that writes meanwhile."""

import json
import os
import pwd
import random
import signal
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest

from client import ConnectionEnded
from harness import BINARY, wait_until

SECONDS = 60

# Each POST writes its body as a row and answers when that is committed; GET gives all rows.
NOTES = '''
import os, sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
PATH = os.environ["DATABASE_URL"].removeprefix("sqlite:///")

def run(sql, *values):
    database = sqlite3.connect(PATH, timeout=10)
    try:
        with database:
            return database.execute(sql, values).fetchall()
    finally:
        database.close()

run("PRAGMA journal_mode = " + os.environ.get("JOURNAL", "wal"))
run("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT)")

class Notes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *words): pass
    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def do_GET(self):
        self.answer("\\n".join(text for text, in run("SELECT text FROM note ORDER BY id")))
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        run("INSERT INTO note (text) VALUES (?)", text)
        self.answer("written")

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Notes).serve_forever()
'''


@pytest.fixture
def make_notes(make_site):
    def make(journal: str = "wal", **arguments):
        app = {"run": "/usr/bin/python3 -u notes.py", "health": "/", "queue_timeout": "60s",
               "env": {"JOURNAL": journal}, **arguments.pop("app", {})}
        database = {"engine": "sqlite", "backup": "off", **arguments.pop("db", {})}
        return make_site(app=app, db=database, files={"notes.py": NOTES}, **arguments)

    return make


def write(site, text: str):
    answer = site.request("POST", "/", body=text.encode())
    assert (answer.status, answer.text) == (200, "written")


def notes(site) -> list[str]:
    return site.get("/").text.split("\n")


def state(site, *names: str):
    return site.folder.joinpath("terrace", "state", *names)


def rows_of(path) -> list[str]:
    with closing(sqlite3.connect("file:%s?mode=rw" % path, uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [text for text, in database.execute("SELECT text FROM note ORDER BY id")]


def asked(site, *words: str, check: bool = True) -> dict:
    return json.loads(site.command(*words, "--json", check=check).stdout)


def listed(site, kind: str = "backup") -> list[str]:
    return [each["backup"] for each in asked(site, "backup", "--list")["backups"] if each["kind"] == kind]


class Writer(threading.Thread):
    """Writes one note after the other; knows which were acknowledged, and what went wrong."""

    def __init__(self, site):
        super().__init__()
        self.site, self.acknowledged, self.wrong, self.stop = site, [], [], threading.Event()

    def __enter__(self):
        self.start()
        wait_until(lambda: len(self.acknowledged) > 5 or self.wrong, "some notes written", SECONDS)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()

    def run(self):
        number = 0
        while not self.stop.wait(0.002):
            number += 1
            text = "note %d" % number
            try:
                with self.site.connect(deadline=SECONDS) as connection:
                    status = connection.request("POST", "/", (), text.encode(), "localhost").status
            except (OSError, ConnectionEnded) as error:
                self.wrong.append(repr(error))
                continue
            if status == 200:
                self.acknowledged.append(text)
            else:
                self.wrong.append("status %d" % status)


# ---- backups


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_backup_while_the_application_writes(make_notes, journal):
    site = make_notes(journal)
    with Writer(site) as writer:
        before = len(writer.acknowledged)
        made = asked(site, "backup")
        assert made["ok"] and made["rows"] >= before and made["kept"] == 1
    assert not writer.wrong
    assert listed(site) == [made["backup"]]
    file = state(site, "backups", made["backup"])
    owner = "terrace-app" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    assert (pwd.getpwuid(file.stat().st_uid).pw_name, file.stat().st_mode & 0o777) == (owner, 0o600)
    # The instances were not touched.
    assert [each["restarts"] for each in asked(site, "status")["instances"]] == [0]


def test_what_became_of_a_backup_is_in_the_answer_the_status_the_log_and_the_metrics(make_notes):
    site = make_notes()
    write(site, "a")
    assert "none yet" in site.command("status").stdout
    assert not any(name.startswith("terrace_backup") for name in site.metrics())
    done = site.command("backup")
    for said in ("copying the database", "checking the copy", "compressing", "testing that it can be restored", "1 rows"):
        assert said in done.stdout
    name = listed(site)[0]
    assert name in done.stdout
    status = asked(site, "status")["backup"]
    assert status["name"] == name and status["bytes"] == state(site, "backups", name).stat().st_size
    assert "never: [db] backup is off" in site.command("status").stdout
    site.wait_for_log("a backup is made name=%s" % name)
    wait_until(lambda: site.metrics().get("terrace_backup_success") == 1, "the metric", SECONDS)
    metrics = site.metrics()
    assert metrics["terrace_backup_size_bytes"] == status["bytes"]
    assert 0 <= metrics["terrace_backup_age_seconds"] < SECONDS
    # They outlive the worker that shows them.
    site.kill("worker")
    wait_until(lambda: site.find("worker") and site.get("/").status == 200, "a worker", SECONDS)
    wait_until(lambda: site.metrics().get("terrace_backup_success") == 1, "the metric again", SECONDS)


def test_the_oldest_backups_go(make_notes):
    site = make_notes(db={"backups_kept": 2})
    made = [asked(site, "backup")["backup"] for _ in range(3)]
    assert listed(site) == sorted(made[1:], reverse=True)


def test_a_damaged_database_makes_no_backup_and_the_old_ones_stay(make_notes):
    site = make_notes("delete")
    for number in range(30):
        write(site, "%d" % number + "x" * 2000)
    good = asked(site, "backup")["backup"]
    with open(state(site, "database", "test.sqlite3"), "r+b") as file:
        for page in range(3, 8):
            file.seek(page * 4096)
            file.write(b"x" * 1000)
    refused = site.command("backup", check=False)
    assert refused.returncode == 1
    assert "damaged" in refused.stderr and "integrity check" in refused.stdout
    assert listed(site) == [good]
    status = site.command("status", check=False)
    assert status.returncode == 1 and "the last attempt failed" in status.stdout
    wait_until(lambda: site.metrics().get("terrace_backup_success") == 0, "the metric", SECONDS)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_makes_no_backup_and_stops_nothing(make_notes, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    for folder in (disk, *list(disk.parents)[:3]):
        folder.chmod(0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True)
    try:
        site = make_notes(environment={"TERRACE_FOLDER": str(disk)})
        write(site, "a")
        good = asked(site, "backup")["backup"]
        for number in range(30):
            write(site, os.urandom(30_000).hex())
        refused = site.command("backup", check=False)
        assert refused.returncode == 1 and "No space left on device" in refused.stderr
        assert listed(site) == [good]
        assert sorted(os.listdir(disk / "state/backups")) == [".lock", good]
        write(site, "the site goes on")
        site.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_backup_that_a_downtime_missed_is_made_up_for(make_notes):
    site = make_notes(start=False, db={"backup": "hourly"})
    folder = state(site)
    folder.mkdir(parents=True)
    (folder / "backups.json").write_text('{"good": 1000000000, "attempted": 1000000000, "name": "x", "failures": 0}')
    site.start()
    wait_until(lambda: listed(site), "a backup by itself", SECONDS, 0.2)
    wait_until(lambda: asked(site, "status")["backup"].get("next_seconds", 0) > 3000, "the next in an hour", SECONDS, 0.2)
    first = listed(site)
    # A restart is no reason for another one.
    site.restart()
    assert asked(site, "status")["backup"]["next_seconds"] > 3000
    assert listed(site) == first


@pytest.mark.parametrize("database, said", [
    ({"engine": None, "url": "postgresql://u:hunter2@db.example.com/shop"}, "[db] url names one elsewhere"),
    ({"engine": "none"}, '[db] engine is "none"'),
])
def test_without_a_database_of_its_own_terrace_says_so(make_site, database, said):
    site = make_site(start=False, db=database)
    for command in (["backup"], ["backup", "--list"], ["restore", "--replace"]):
        done = site.command(*command, check=False)
        assert done.returncode == 1 and said in done.stderr and "hunter2" not in done.stderr
        assert asked(site, *command, check=False)["ok"] is False


def test_a_site_that_does_not_run_lists_but_makes_none(make_notes):
    site = make_notes()
    made = asked(site, "backup")["backup"]
    site.stop()
    assert listed(site) == [made]
    refused = site.command("backup", check=False)
    assert refused.returncode == 1 and "terrace up" in refused.stderr


# ---- restore


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_restore_brings_the_rows_back_and_loses_no_acknowledged_write(make_notes, journal):
    site = make_notes(journal, app={"instances": 2})
    write(site, "first")
    asked(site, "backup")
    with Writer(site) as writer:
        before = len(writer.acknowledged)
        restored = asked(site, "restore", "--replace")
        wait_until(lambda: len(writer.acknowledged) > before + 20, "writes after it", SECONDS)
    assert restored["ok"], restored
    assert not writer.wrong, "nobody saw a refused connection or an error"
    now, kept = notes(site), rows_of(state(site, "backups", restored["kept"]))
    assert now[0] == kept[0] == "first"
    assert kept[1 : 1 + before] == writer.acknowledged[:before]
    # What was acknowledged before the hold is in the kept copy, what came after in the restored one.
    assert kept[1:] + now[1:] == writer.acknowledged
    assert not state(site, "restore.json").exists()
    assert not state(site, "database", "test.sqlite3.restoring").exists()


def test_without_replace_a_restore_only_says_what_would_be_lost(make_notes):
    site = make_notes()
    nothing = site.command("restore", check=False)
    assert nothing.returncode == 1 and "there is no backup" in nothing.stderr
    write(site, "a")
    name = asked(site, "backup")["backup"]
    write(site, "b")
    done = site.command("restore", check=False)
    assert done.returncode == 1
    assert "UTC" in done.stderr and "is gone from the site" in done.stderr and "--replace" in done.stderr
    assert asked(site, "restore", check=False)["would_restore"]["backup"] == name
    assert notes(site) == ["a", "b"]
    unknown = site.command("restore", "test-2020-01-01T000000Z.sqlite.zst", "--replace", check=False)
    assert unknown.returncode == 1 and "there is no backup `test-2020" in unknown.stderr


def test_a_restore_can_be_taken_back(make_notes):
    site = make_notes()
    write(site, "a")
    asked(site, "backup")
    write(site, "b")
    kept = asked(site, "restore", "--replace")["kept"]
    assert notes(site) == ["a"]
    asked(site, "restore", kept, "--replace")
    assert notes(site) == ["a", "b"]
    assert len(listed(site, "before-restore")) == 2


def test_a_restore_that_cannot_be_noted_leaves_the_database_and_nothing_beside_it(make_notes):
    site = make_notes()
    write(site, "a")
    asked(site, "backup")
    write(site, "b")
    state(site, "restore.json").mkdir()
    done = site.command("restore", "--replace", check=False)
    assert done.returncode == 1 and "directory" in done.stderr, done.stderr
    state(site, "restore.json").rmdir()
    assert notes(site) == ["a", "b"]
    assert [file.name for file in state(site, "database").iterdir() if "restoring" in file.name] == []
    assert listed(site, "before-restore") == []


def test_a_damaged_backup_is_refused_before_anything_stops(make_notes):
    site = make_notes()
    write(site, "a")
    name = asked(site, "backup")["backup"]
    write(site, "b")
    file = state(site, "backups", name)
    file.write_bytes(file.read_bytes()[:-8])
    done = site.command("restore", "--replace", check=False)
    assert done.returncode == 1 and "cut short" in done.stderr
    assert notes(site) == ["a", "b"]
    assert [each["restarts"] for each in asked(site, "status")["instances"]] == [0]


def test_who_leaves_during_a_restore_stops_nothing(make_notes):
    site = make_notes()
    write(site, "a")
    asked(site, "backup")
    write(site, "b")
    asking = subprocess.Popen([str(BINARY), "restore", "--file", str(site.file), "--replace"], cwd=site.folder,
                              env=site.environment, stdout=subprocess.PIPE, text=True)
    asking.stdout.readline()
    asking.kill()
    asking.communicate()
    wait_until(lambda: notes(site) == ["a"], "the rows of the backup", SECONDS, 0.1)


def seeded_moments() -> list[float]:
    seed = int(os.environ.get("TERRACE_SEED", random.randrange(1 << 30)))
    print("TERRACE_SEED=%d" % seed)
    source = random.Random(seed)
    return [source.uniform(0.0, 0.5) for _ in range(5)]


def begin_restore(site, after: float) -> subprocess.Popen:
    """A restore that is under way since so many seconds."""
    asking = subprocess.Popen([str(BINARY), "restore", "--file", str(site.file), "--replace"], cwd=site.folder,
                              env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asking.wait(after)
    except subprocess.TimeoutExpired:
        pass
    return asking


def settled(site) -> bool:
    """Serves, and nothing of a restore is left to be done."""
    return not state(site, "restore.json").exists() and site.get("/").status == 200


def test_a_controller_killed_during_a_restore_leaves_one_whole_database(make_notes):
    site = make_notes()
    write(site, "a")
    asked(site, "backup")
    for number, moment in enumerate(seeded_moments()):
        write(site, "b%d" % number)
        before = notes(site)
        asking = begin_restore(site, moment)
        site.kill("controller")
        asking.wait(SECONDS)
        wait_until(lambda: settled(site), "the site serves again", SECONDS, 0.05)
        wait_until(lambda: site.command("status", check=False).returncode == 0, "all is well", SECONDS, 0.1)
        assert notes(site) in (before, ["a"]), moment
        assert rows_of(state(site, "database", "test.sqlite3")) in (before, ["a"])


def test_a_site_killed_during_a_restore_starts_with_one_whole_database(make_notes):
    site = make_notes()
    write(site, "a")
    asked(site, "backup")
    for number, moment in enumerate(seeded_moments()):
        write(site, "b%d" % number)
        before = notes(site)
        asking = begin_restore(site, moment)
        site.processes()
        site.child.send_signal(signal.SIGKILL)
        site.child.wait()
        asking.wait(SECONDS)
        assert not site.left_behind()
        site.start()
        wait_until(lambda: settled(site), "the site serves again", SECONDS, 0.05)
        assert notes(site) in (before, ["a"]), moment


def test_a_restore_that_was_cut_off_in_the_swap_is_finished_first(make_notes):
    """As a power cut leaves it: the note is there, the logs are gone, the rename has not happened."""
    site = make_notes()
    write(site, "a")
    asked(site, "backup")
    write(site, "b")
    kept = "before-restore-2026-01-01T000000Z.sqlite3"
    site.stop()
    database = state(site, "database", "test.sqlite3")
    present = database.read_bytes()
    restoring = database.with_name(database.name + ".restoring")
    with closing(sqlite3.connect(restoring)) as restored:
        restored.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
        restored.execute("INSERT INTO note (text) VALUES ('restored')")
        restored.commit()
    owner = database.stat()
    os.chown(restoring, owner.st_uid, owner.st_gid)
    state(site, "restore.json").write_text(json.dumps({"backup": "x", "kept": kept}))
    site.start()
    assert notes(site) == ["restored"]
    assert state(site, "backups", kept).read_bytes() == present
    assert not state(site, "restore.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_backup_and_restore_as_an_ordinary_user(make_notes):
    site = make_notes(user="nobody")
    write(site, "a")
    made = asked(site, "backup")
    assert pwd.getpwuid(state(site, "backups", made["backup"]).stat().st_uid).pw_name == "nobody"
    write(site, "b")
    assert asked(site, "restore", "--replace")["ok"]
    assert notes(site) == ["a"]
