"""What a started application finds of its database: a test for each row of docs/database.md."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from harness import ROOT, wait_until
from test_secrets import APP, PASSWORD, environment, set_secret


def rows() -> list[tuple[str, str, str]]:
    """[app] database_url, [db] and DATABASE_URL, of each row of the table."""
    found = []
    for line in (ROOT / "docs/database.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 3 and cells[2] != "DATABASE_URL":
            found.append(tuple(cells))
    return found


def database(site) -> Path:
    return Path(site.environment["TERRACE_FOLDER"]) / "state/database"


def tables(style: str, url: str | None) -> dict:
    return {
        "site": {"name": "shop"},
        "app": {"run": "/usr/bin/python3 -u app.py", "health": "/", "env": {}, "database_url": style},
        "db": {"engine": None, "url": url} if url else {"engine": "sqlite"},
    }


def test_the_table_has_rows():
    assert len(rows()) >= 12


@pytest.mark.parametrize("style, given, expected", rows())
def test_the_application_finds_its_database_url_in_the_form_of_the_table(make_site, style, given, expected):
    url = None if given == "SQLite" else given
    site = make_site(files={"app.py": APP}, **tables(style, url))
    found = environment(site)
    assert found["DATABASE_URL"] == expected.replace("/PATH", str(database(site)))
    if url is None:
        assert found["DB_PATH"] == str(database(site) / "shop.sqlite3")
        assert not {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD_FILE"} & set(found)
        return
    host = "2001:db8::7" if "2001" in url else "db"
    port = {"mysql": "3306", "postgres": "5433" if "5433" in url else "5432", "redis": "6379"}
    assert found["DB_HOST"] == host
    assert found["DB_PORT"] == port[re.match("[a-z]+", url)[0]]
    assert found["DB_NAME"] == ("0" if url.startswith("redis") else "shop")
    assert found.get("DB_USER") == (None if url.startswith("redis") else "shop")
    assert Path(found["DB_PASSWORD_FILE"]).read_text() == "p@ss"
    assert "DB_PATH" not in found


@pytest.mark.parametrize("style", ["plain", "rails", "sqlalchemy", "x://{user}:{password}@{host}:{port}/{name}"])
def test_every_character_of_a_password_reaches_the_application(make_site, style):
    from urllib.parse import unquote, urlsplit

    site = make_site(start=False, files={"app.py": APP}, **tables(style, "mysql://shop:${secret:DB_PASSWORD}@db/shop"))
    set_secret(site, "DB_PASSWORD", PASSWORD)
    site.start()
    found = environment(site)
    assert unquote(urlsplit(found["DATABASE_URL"]).password) == PASSWORD
    assert Path(found["DB_PASSWORD_FILE"]).read_text() == PASSWORD


# What each framework itself makes of DATABASE_URL, as JSON.
SQLALCHEMY = """
import json, os, sqlalchemy.engine
url = sqlalchemy.engine.make_url(os.environ["DATABASE_URL"])
print(json.dumps([url.drivername, url.username, url.password, url.host, url.port, url.database]))
"""
DJANGO = """
import dj_database_url, json
found = dj_database_url.config()
print(json.dumps([found["ENGINE"]] + [found[name] or None for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")]))
"""
RAILS = """
require "active_record"
require "active_record/database_configurations"
require "json"
found = ActiveRecord::DatabaseConfigurations.new({}).configs_for(env_name: "production").first.configuration_hash
puts JSON.dump([:adapter, :username, :password, :host, :port, :database].map { |name| found[name] })
"""
READERS = {
    "sqlalchemy": (["/usr/bin/python3", "-c", SQLALCHEMY], "mysql+mysqldb", "sqlite"),
    "plain": (["/usr/bin/python3", "-c", DJANGO], "django.db.backends.mysql", "django.db.backends.sqlite3"),
    "rails": (["/usr/bin/ruby", "-e", RAILS], "mysql2", "sqlite3"),
}


@pytest.mark.parametrize("style", READERS)
def test_the_framework_reads_what_is_meant(make_site, style):
    command, server, file = READERS[style]

    def read(variables: dict) -> list:
        done = subprocess.run(command, env={**variables, "RAILS_ENV": "production"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    site = make_site(start=False, files={"app.py": APP},
                     **tables(style, "mysql://shop:${secret:DB_PASSWORD}@[2001:db8::7]:3307/shop"))
    set_secret(site, "DB_PASSWORD", PASSWORD)
    site.start()
    assert read(environment(site)) == [server, "shop", PASSWORD, "2001:db8::7", 3307, "shop"]
    site.write(**tables(style, None))
    site.command("reload")
    wait_until(lambda: "DB_PATH" in environment(site), "the other database", 20)
    assert read(environment(site)) == [file, None, None, None, None, str(database(site) / "shop.sqlite3")]


def test_the_file_of_the_password_is_its_users_alone_and_goes_with_the_instance(make_site):
    site = make_site(files={"app.py": APP}, **tables("plain", "mysql://shop:p%40ss@db/shop"))
    file = Path(environment(site)["DB_PASSWORD_FILE"])
    about = file.stat()
    assert about.st_mode & 0o7777 == 0o400 and about.st_uid == site.find("app.py")[0].uid
    site.command("restart", "app")
    wait_until(lambda: not file.exists(), "the old instance's file is gone", 20)
    new = Path(environment(site)["DB_PASSWORD_FILE"])
    assert new != file and new.read_text() == "p@ss"
    site.stop()
    assert not new.exists() and not new.parent.exists()


def test_files_that_a_killed_supervisor_left_go_with_the_next_start(make_site):
    site = make_site(files={"app.py": APP}, **tables("plain", "mysql://shop:p%40ss@db/shop"))
    left = Path(environment(site)["DB_PASSWORD_FILE"]).parent
    site.kill("supervisor")
    site.child.wait()
    wait_until(lambda: not site.left_behind(0), "all has ended", 20)
    (left / "0.4000000").write_text("old")
    site.start()
    assert [name for name in os.listdir(left)] == [Path(environment(site)["DB_PASSWORD_FILE"]).name]


def test_a_database_of_no_kind_sets_nothing(make_site):
    site = make_site(files={"app.py": APP}, **{**tables("plain", None), "app": {
        "run": "/usr/bin/python3 -u app.py", "health": "/", "env": {}}, "db": {"engine": "none"}})
    assert not [name for name in environment(site) if name.startswith(("DB_", "DATABASE"))]


def test_a_url_that_readers_would_read_differently_is_refused_with_its_place(make_site):
    site = make_site(start=False, **tables("plain", "mysql://shop:hunter2@home@db/shop"))
    checked = site.command("check", "--json", check=False)
    findings = json.loads(checked.stdout)["findings"]
    assert checked.returncode == 1 and [one["code"] for one in findings] == ["E016"]
    assert "%40" in findings[0]["label"] and "hunter2" not in checked.stdout
