"""The applications of examples/ as a person uses them: with curl, and in a browser."""

import json

import pytest
from applications import GUESTBOOKS, example, start
from browser import Browser
from harness import ROOT, Site, wait_until
from test_example import curl

SCREENSHOTS = ROOT / "build/test/screenshots"


def restart(site: Site):
    site.stop()
    start(site)


def sign(browser: Browser, name: str, message: str):
    browser.type("#name", name)
    browser.type("#message", message)
    browser.click("button")


@pytest.mark.parametrize("name", GUESTBOOKS)
def test_an_entry_written_in_a_browser_is_there_after_a_restart(make_site, name):
    site = start(example(make_site, name))
    with Browser() as browser:
        browser.open(site.url)
        assert "Nobody has written yet" in browser.text()
        sign(browser, "Ada Lovelace", "Written in a real browser.\nWith two lines & <angle brackets>.")
        assert browser.evaluate("location.pathname + location.hash") == "/#entry-1"
        assert "With two lines & <angle brackets>." in browser.text()
        restart(site)
        browser.open(site.url)
        assert "Ada Lovelace" in browser.text()
        assert browser.problems() == []
        browser.screenshot(SCREENSHOTS / (name + ".png"))
        browser.resize(390, 800, dark=True)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390, "it scrolls sideways"
    listed = json.loads(curl(site.url + "/api/entries"))
    assert listed["total"] == 1 and listed["entries"][0]["name"] == "Ada Lovelace"
    assert site.get("/style.css")["cache-control"] == "max-age=3600"


def test_the_admin_of_the_django_guestbook_has_its_style(make_site):
    site = start(example(make_site, "guestbook-django"))
    assert site.get("/admin/login/").status == 200
    assert site.get("/static/admin/css/base.css").status == 200


TITLE = "document.querySelector('input.tc-titlebar')"
DRAFTED = "($tw.wiki.getTiddler(\"Draft of 'New Tiddler'\") ?? {fields: {}}).fields['draft.title'] === 'Written in a browser'"


def test_a_note_in_tiddlywiki_is_there_after_a_restart(make_site):
    """An application that nobody here wrote; its notes are files."""
    site = start(example(make_site, "tiddlywiki", ready="/status"))
    with Browser() as browser:
        browser.open(site.url)
        shown = "document.querySelector('button[aria-label=\"new tiddler\"]') !== null"
        wait_until(lambda: browser.evaluate(shown), "TiddlyWiki is there", 30)
        browser.click('button[aria-label="new tiddler"]', loads=False)
        wait_until(lambda: browser.evaluate(TITLE + " !== null"), "the editor is open", 30)
        browser.evaluate(TITLE + ".focus(); " + TITLE + ".select()")
        browser.command("Input.insertText", text="Written in a browser")
        wait_until(lambda: browser.evaluate(DRAFTED), "the title is taken", 30)
        # The editor is still sliding into its place: a mouse could miss the button.
        browser.evaluate("document.querySelector('button[aria-label=\"Confirm changes to this tiddler\"]').click()")
        # It says that a note is kept before its file is written.
        wait_until(lambda: list(site.folder.glob("wiki/tiddlers/Written*.tid")), "the note is kept", 30)
    restart(site)
    with Browser() as browser:  # another one: the first may ask whether it shall leave
        browser.open(site.url + "/#Written%20in%20a%20browser")
        wait_until(lambda: "Written in a browser" in browser.text(), "the note is shown", 30)
        assert "Missing tiddler" not in browser.text()
        browser.screenshot(SCREENSHOTS / "tiddlywiki.png")
    assert "Written in a browser" in curl(site.url + "/recipes/default/tiddlers.json")
