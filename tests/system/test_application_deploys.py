"""The guestbooks in five frameworks, and TiddlyWiki, through a deploy with a schema change, a
rollback, a reload, a restart and an upgrade, under a constant load without a failed request."""

import re
import shutil
import sqlite3
import urllib.parse
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from applications import (EXAMPLES, GUESTBOOKS, START_SECONDS, copy_tree, example, for_tests, prepare, start, terrace,
                          with_ports)
from client import Load
from harness import BINARY, Site, wait_until

CPP_MIGRATION = """import os, sqlite3
database = sqlite3.connect(os.environ["DATABASE_URL"].replace("sqlite:///", "", 1), timeout=10)
if CHANGES and "mood" not in [row[1] for row in database.execute("PRAGMA table_info(entries)")]:
    database.execute("ALTER TABLE entries ADD COLUMN mood TEXT")
    database.commit()
"""
# What the second release adds to each: a column.
MIGRATIONS = {
    "guestbook-node": ("migrations/002-mood.sql", "ALTER TABLE entries ADD COLUMN mood TEXT;\n"),
    "guestbook-flask": ("migrations/versions/002_mood.py", """import sqlalchemy as sa
from alembic import op

revision = "002"
down_revision = "001"


def upgrade():
    op.add_column("entries", sa.Column("mood", sa.Text))
"""),
    "guestbook-django": ("entries/migrations/0002_entry_mood.py", """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("entries", "0001_initial")]
    operations = [migrations.AddField("Entry", "mood", models.TextField(null=True))]
"""),
    "guestbook-rails": ("db/migrate/20260102000000_add_mood.rb", """class AddMood < ActiveRecord::Migration[6.1]
  def change
    add_column :entries, :mood, :text
  end
end
"""),
    "guestbook": ("migrate.py", CPP_MIGRATION.replace("CHANGES", "True")),
}
ALL = [*GUESTBOOKS, "guestbook"]


# ---- the applications and their releases


def cpp_files(folder: Path):
    """The C++ guestbook is deployed as it was built."""
    binary = BINARY.parent / "guestbook"
    assert binary.exists(), "build first: ninja -C %s guestbook" % BINARY.parent
    shutil.copytree(EXAMPLES / "0-simple/public", folder / "public")
    shutil.copy(binary, folder / "guestbook")
    (folder / "migrate.py").write_text(CPP_MIGRATION.replace("CHANGES", "False"))


def make(make_site, name: str) -> Site:
    if name != "guestbook":
        site = example(make_site, name)
    else:
        text = (EXAMPLES / "0-simple/site.toml").read_text()
        text = re.sub(r'^run +=.*$', 'run = "./guestbook"\nmigrate = "/usr/bin/python3 migrate.py"', text, flags=re.M)
        site = make_site(start=False, text=with_ports(text, 1), ready="/up")
        cpp_files(site.folder)
    return for_tests(site)


def release(name: str, folder: Path, number: int) -> Path:
    folder.mkdir(mode=0o755)
    if name == "guestbook":
        cpp_files(folder)
    else:
        copy_tree(EXAMPLES / name, folder)
        prepare(folder)
    (folder / "public/release.txt").write_text("%d\n" % number)
    if number > 1:
        path, text = MIGRATIONS[name]
        (folder / path).write_text(text)
    return folder


def sign(site: Site, message: str):
    """Fills in the form as a browser does: with its cookie and its hidden field."""
    page = site.get("/")
    cookies = SimpleCookie()
    for value in page.all("set-cookie"):
        cookies.load(value)
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    body = urllib.parse.urlencode({**form, "name": "Ada", "message": message}).encode()
    fields = {"Content-Type": "application/x-www-form-urlencoded",
              "Cookie": "; ".join("%s=%s" % (one.key, one.value) for one in cookies.values())}
    answer = site.request("POST", "/entries", fields, body, host="127.0.0.1:%d" % site.port)
    assert answer.status == 303, answer.text[:500]


def columns(site: Site) -> list[str]:
    (file,) = site.folder.glob("terrace/state/database/*.sqlite3")
    database = sqlite3.connect(file, timeout=10)
    try:
        return [row[1] for row in database.execute("PRAGMA table_info(%s)" % table_of(database))]
    finally:
        database.close()


def table_of(database: sqlite3.Connection) -> str:
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'entries%entry'")]
    return names[0] if names else "entries"


# ---- the tests


@pytest.mark.parametrize("name", ALL)
def test_a_guestbook_is_deployed_and_rolled_back_under_load(make_site, tmp_path, name):
    site = start(make(make_site, name))
    sign(site, "before any release")
    first, second = release(name, tmp_path / "first", 1), release(name, tmp_path / "second", 2)
    with Load(site.port, "/", rate=20, clients=4, deadline=30.0) as load:
        terrace(site, "deploy", str(first))
        assert site.get("/release.txt").text == "1\n" and "mood" not in columns(site)
        sign(site, "into the first release")
        terrace(site, "deploy", str(second))
        assert site.get("/release.txt").text == "2\n" and "mood" in columns(site)
        sign(site, "into the second release")
        terrace(site, "rollback")
        assert site.get("/release.txt").text == "1\n" and "mood" in columns(site)
        sign(site, "after the rollback")
        terrace(site, "restart", "app")
        site.file.write_text(site.file.read_text().replace('bake = "1s"', 'bake = "2s"\ngrace = "20s"'))
        terrace(site, "reload")
        load.until(20, START_SECONDS)
        terrace(site, "upgrade")
        load.until(20, START_SECONDS)
    assert not load.result.failures, load.result
    page = site.get("/").text
    for message in ("before any release", "into the first", "into the second", "after the rollback"):
        assert message in page


def test_tiddlywiki_keeps_its_notes_through_deploys_under_load(make_site, tmp_path):
    site = start(for_tests(example(make_site, "tiddlywiki", ready="/status")))
    fields = {"Content-Type": "application/json", "X-Requested-With": "TiddlyWiki"}
    answer = site.request("PUT", "/recipes/default/tiddlers/Kept", fields, b'{"title": "Kept", "text": "a note"}')
    assert answer.status == 204, answer.text[:500]
    wait_until(lambda: list(site.folder.glob("wiki/tiddlers/Kept.tid")), "the note is a file", 30)
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir(mode=0o755)
        copy_tree(EXAMPLES / "tiddlywiki", folder)
        prepare(folder)
    # The first release takes the notes of the folder along, as its owner would.
    shutil.copytree(site.folder / "wiki", folders[0] / "wiki")
    with Load(site.port, "/status", rate=20, clients=4, deadline=30.0) as load:
        for folder in folders:
            terrace(site, "deploy", str(folder))
            assert "a note" in site.get("/recipes/default/tiddlers/Kept").text
        terrace(site, "rollback")
        assert "a note" in site.get("/recipes/default/tiddlers/Kept").text
        terrace(site, "restart", "app")
        terrace(site, "upgrade")
        load.until(20, START_SECONDS)
    assert not load.result.failures, load.result


def test_a_release_whose_migration_fails_leaves_the_one_before(make_site, tmp_path):
    site = start(make(make_site, "guestbook-node"))
    broken = release("guestbook-node", tmp_path / "broken", 2)
    (broken / "migrations/002-mood.sql").write_text("ALTER TABLE nowhere ADD COLUMN mood TEXT;\n")
    assert "no such table: nowhere" in terrace(site, "deploy", str(broken), status=1)
    wait_until(lambda: site.get("/up").status == 200, "the site serves", 10)
    assert "mood" not in columns(site)
