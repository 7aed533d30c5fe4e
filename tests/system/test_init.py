"""terrace init: what it makes of fresh projects, and that `terrace up` then serves them."""

import json
import os
import subprocess

import pytest
from applications import SKELETONS, WELCOME, init, run, skeleton, start
from browser import Browser
from harness import BINARY, ROOT, free_port

SCREENSHOTS = ROOT / "build/test/screenshots"


@pytest.mark.parametrize("name", SKELETONS)
def test_a_fresh_project_is_served_without_an_edit(make_site, name):
    site = start(skeleton(make_site, name))
    assert site.get("/").status == 200
    assert site.get("/site.toml").status == 404
    with Browser() as browser:
        browser.open(site.url)
        assert WELCOME[name] in browser.text()
        browser.screenshot(SCREENSHOTS / ("fresh-%s.png" % name))
        # A bare skeleton has no icon; nothing else is missing.
        assert [one for one in browser.problems() if "404" not in one] == []


def test_the_admin_of_a_fresh_django_project_has_its_style_and_its_database(make_site):
    site = start(skeleton(make_site, "django"))
    assert site.get("/static/admin/css/base.css").status == 200
    manage = ["/usr/bin/python3", "manage.py"]
    link = site.folder / "db.sqlite3"
    assert link.is_symlink() and "/state/database/" in os.readlink(link)
    assert "no such table" not in run([*manage, "shell", "-c", "from django.contrib.auth.models import User;"
                                       "User.objects.create_superuser('ada', 'a@example.com', 'lovelace')"], site.folder)
    with Browser() as browser:
        browser.open(site.url + "/admin/")
        browser.type("#id_username", "ada")
        browser.type("#id_password", "lovelace")
        browser.click("input[type=submit]")
        assert "Site administration" in browser.text()
        browser.screenshot(SCREENSHOTS / "fresh-django-admin.png")


def test_a_site_file_that_is_there_stays(tmp_path):
    (tmp_path / "index.html").write_text("x")
    (tmp_path / "site.toml").write_text("mine")
    done = init(tmp_path)
    assert done.returncode == 1 and "stays as it is" in done.stderr
    assert (tmp_path / "site.toml").read_text() == "mine"


def test_what_is_not_recognised_is_told_what_was_looked_for(tmp_path):
    done = init(tmp_path)
    assert done.returncode == 1
    for word in ("manage.py", "Gemfile", "package.json", "CMakeLists.txt", "index.html"):
        assert word in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_cannot_be_read(tmp_path):
    assert init(tmp_path, "nowhere").returncode == 2
    assert init(tmp_path, "--framework", "cobol").returncode == 2


def test_the_json_says_what_was_decided_and_why(tmp_path):
    folder = tmp_path / "my shop!"
    folder.mkdir()
    SKELETONS["flask"](folder)
    said = json.loads(init(tmp_path, "my shop!", "--json").stdout)
    assert said["ok"] and said["framework"] == "flask" and said["found"] == "app.py"
    keys = {key["key"]: key["value"] for key in said["keys"]}
    assert keys["site.name"] == '"my-shop"' and "app:app" in keys["app.run"]
    assert said["file"] == str(folder / "site.toml")


def test_a_folder_whose_name_is_no_text_is_a_project_too(tmp_path):
    folder = tmp_path / os.fsdecode(b"sh\xffop")
    folder.mkdir()
    SKELETONS["flask"](folder)
    said = json.loads(init(folder, "--json").stdout)
    assert said["ok"] and "sh\ufffdop" in said["file"]
    backups = subprocess.run([str(BINARY), "backup", "--list", "--json"], cwd=folder, capture_output=True, timeout=30)
    assert json.loads(backups.stdout)["ok"]


def test_git_takes_nothing_of_what_terrace_keeps_in_the_project(tmp_path):
    SKELETONS["static"](tmp_path)
    init(tmp_path)
    subprocess.run([str(BINARY), "secret", "set", "KEY"], cwd=tmp_path, input="hunter2", text=True, check=True)
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    taken = subprocess.run(["git", "ls-files"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert "site.toml" in taken and [name for name in taken if name.startswith(".terrace")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_a_folder_that_its_user_cannot_enter_is_no_project(make_site):
    folder = make_site(start=False).folder
    folder.chmod(0o644)
    done = subprocess.run([str(BINARY), "init", str(folder)], cwd="/", user=65534, group=65534, extra_groups=[],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "no project that I know" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("name", ["flask", "static"])
def test_root_is_told_when_the_sites_users_cannot_enter_the_project(tmp_path, name):
    folder = tmp_path / "shop"
    folder.mkdir()
    tmp_path.chmod(0o700)
    SKELETONS[name](folder)
    done = init(folder)
    assert done.returncode == 0 and "cannot enter" in done.stdout and "/srv/shop" in done.stdout
    text = (folder / "site.toml").read_text()
    web = '[web]\nlisten = ["127.0.0.1:%d"]\n' % free_port()
    (folder / "site.toml").write_text(text.replace("[web]\n", web) if "[web]\n" in text else text + web)
    up = subprocess.run([str(BINARY), "up"], cwd=folder, capture_output=True, text=True, timeout=30)
    assert up.returncode == 1 and "error: Terrace's own user cannot enter" in up.stderr, up.stderr


def test_the_framework_can_be_chosen(tmp_path):
    SKELETONS["flask"](tmp_path)
    SKELETONS["static"](tmp_path)
    assert json.loads(init(tmp_path, "--json", "--framework", "static").stdout)["framework"] == "static"
