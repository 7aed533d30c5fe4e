"""Step 0 as its owner walks it, on a Debian 12 that was booted for it: from a bare machine to a served site,
a new version with a schema change, the way back, a reboot, last night's backup. The clock is printed."""

import sys

import pytest
from harness import BINARY, wait_until
from machine import Clock, Machine, missing
from test_package import make_package
from test_upgrade import VERSION

pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

APP = """
import os, sqlite3
from flask import Flask, request

app = Flask(__name__)

def notes():
    return sqlite3.connect(os.environ["DB_PATH"], timeout=30)

@app.route("/", methods=["GET", "POST"])
def index():
    with notes() as database:
        if request.method == "POST":
            database.execute("insert into note (text) values (?)", [request.form["text"]])
        rows = database.execute("select @COLUMNS@ from note order by id").fetchall()
    return "@VERSION@ " + "; ".join(" ".join(str(value) for value in row) for row in rows)
"""

MIGRATE = """
import os, sqlite3
database = sqlite3.connect(os.environ["DB_PATH"])
database.execute("create table if not exists note (id integer primary key, text text not null)")
@MORE@
database.commit()
"""
STARS = """
if "stars" not in [row[1] for row in database.execute("pragma table_info(note)")]:
    database.execute("alter table note add column stars integer not null default 5")
"""


def write_version(machine: Machine, version: str, columns: str, more: str):
    machine.write("/srv/shop/app.py", APP.replace("@VERSION@", version).replace("@COLUMNS@", columns))
    machine.write("/srv/shop/migrate.py", MIGRATE.replace("@MORE@", more))


def ask(machine: Machine, *options: str) -> str:
    return machine.run("curl -fsS %s http://127.0.0.1/" % " ".join(options), check=False).stdout


def note(machine: Machine, text: str):
    assert text in ask(machine, "--data", "text=" + text)


def under_load(machine: Machine, command: str) -> str:
    """Runs it while requests come, none of which may fail."""
    load = machine.start_load(6.0, 80)
    said = machine.run(command).stdout
    output, _ = load.communicate(timeout=120)
    print(said, output)
    assert load.returncode == 0, output
    return said


def test_the_walk_of_step_0_from_a_bare_machine_to_last_nights_backup(tmp_path):
    package = make_package(tmp_path, BINARY, VERSION)
    with Machine() as machine:
        clock = Clock()
        machine.put(package, "/root/terrace.deb")
        machine.run("dpkg -i terrace.deb")
        clock.step("a bare Debian 12 has Terrace")

        write_version(machine, "one", "text", "")
        print(machine.run("cd /srv/shop && terrace init").stdout)
        site = (machine.root / "srv/shop/site.toml").read_text()
        site = site.replace("[site]", '[site]\ndomain = "shop.example.com"')
        site = site.replace("[app]", '[app]\nbake = "2s"')
        machine.write("/srv/shop/site.toml", site + '\n[servers]\nshop = { address = "203.0.113.7" }\n')
        machine.run("cd /srv/shop && terrace check")
        print(machine.run("cd /srv/shop && terrace up --detach").stdout)
        assert ask(machine) == "one "
        clock.step("init, up --detach: the site is served")

        records = machine.run("terrace dns").stdout
        print(records)
        assert "203.0.113.7" in records and "www.shop.example.com" in records
        clock.step("the records for the registrar")

        note(machine, "first")
        write_version(machine, "two", "text, stars", STARS)
        assert "release 2" in under_load(machine, "cd /srv/shop && terrace deploy")
        assert ask(machine) == "two first 5"
        clock.step("a new version with a schema change, under load")

        under_load(machine, "terrace rollback")
        assert ask(machine) == "one first"
        clock.step("rolled back, under load")

        print(machine.run("terrace backup").stdout)
        note(machine, "second")
        clock.step("a backup")

        machine.cut_power()
        machine.boot()
        wait_until(lambda: ask(machine) == "one first; second", "the site of before", 60.0, 0.2)
        clock.step("the power is cut; it boots and serves every row")

        refused = machine.run("terrace restore", check=False)
        assert refused.returncode == 1 and "--replace" in refused.stderr + refused.stdout
        print(machine.run("terrace restore --replace").stdout)
        assert ask(machine) == "one first"
        clock.step("the backup is restored")
    print(clock, file=sys.stderr)
