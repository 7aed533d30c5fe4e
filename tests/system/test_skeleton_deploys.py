"""Fresh projects of the frameworks and their first real version, with a table of its own where the
framework has a database: deployed and rolled back under a constant load without a failed request."""

import html
import shutil
from pathlib import Path

import pytest
from applications import PYTHON, SKELETONS, START_SECONDS, WELCOME, for_tests, run, skeleton, start, terrace
from browser import Browser
from client import Load
from harness import Site
from test_example import curl

SECOND = "Notes so far: 0"  # what each says in its second version
DJANGO_VIEW = """from django.http import HttpResponse

from .models import Note


def index(request):
    return HttpResponse("<h1>Notes so far: %d</h1>" % Note.objects.count())
"""
RAILS = {
    "db/migrate/20260102000000_create_notes.rb": """class CreateNotes < ActiveRecord::Migration[6.1]
  def change
    create_table :notes do |t|
      t.text :text
      t.timestamps
    end
  end
end
""",
    "app/models/note.rb": "class Note < ApplicationRecord\nend\n",
    "app/controllers/notes_controller.rb": "class NotesController < ApplicationController\n  def index; end\nend\n",
    "app/views/notes/index.html.erb": "<h1>Notes so far: <%= Note.count %></h1>\n",
    "config/routes.rb": "Rails.application.routes.draw do\n  root \"notes#index\"\nend\n",
}


# ---- the second version of each, as its author would make it


def replace(file: Path, old: str, new: str):
    text = file.read_text()
    assert old in text, "%s has no %r" % (file, old)
    file.write_text(text.replace(old, new))


def django(folder: Path):
    run([PYTHON, "manage.py", "startapp", "notes"], folder)
    (folder / "notes/models.py").write_text(
        "from django.db import models\n\n\nclass Note(models.Model):\n    text = models.TextField()\n")
    (folder / "notes/views.py").write_text(DJANGO_VIEW)
    replace(folder / "mysite/settings.py", "INSTALLED_APPS = [\n", "INSTALLED_APPS = [\n    'notes',\n")
    replace(folder / "mysite/urls.py", "urlpatterns = [\n",
            "from notes.views import index\n\nurlpatterns = [\n    path('', index),\n")
    run([PYTHON, "manage.py", "makemigrations", "notes"], folder)


def rails(folder: Path):
    for path, text in RAILS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def text_alone(folder: Path):
    for name, file in {"flask": "app.py", "node": "app.js", "static": "index.html", "cpp": "main.cc"}.items():
        if (folder / file).exists():
            replace(folder / file, WELCOME[name], SECOND)


CHANGES = {"django": django, "rails": rails}


# ---- the test


def sees(browser: Browser, site: Site, text: str):
    assert text in html.unescape(curl(site.url + "/"))
    browser.open(site.url)
    assert text in browser.text()


@pytest.mark.parametrize("name", SKELETONS)
def test_a_fresh_project_is_deployed_and_rolled_back_under_load(make_site, tmp_path, name):
    site = for_tests(skeleton(make_site, name))
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(site.folder, first, symlinks=True, ignore=shutil.ignore_patterns("site.toml"))
    shutil.copytree(first, second, symlinks=True)
    CHANGES.get(name, text_alone)(second)
    start(site)
    with Browser() as browser, Load(site.port, "/", rate=20, clients=4, deadline=30.0) as load:
        terrace(site, "deploy", str(first))
        sees(browser, site, WELCOME[name])
        terrace(site, "deploy", str(second))
        sees(browser, site, SECOND)
        terrace(site, "rollback")
        sees(browser, site, WELCOME[name])
        load.until(20, START_SECONDS)
        # Like a bare skeleton, its second version has no icon; nothing else is missing.
        assert [one for one in browser.problems() if "404" not in one] == []
    assert not load.result.failures, load.result
