"""Static files through the whole program, asked for with the real curl."""

import gzip
import os
import re
import subprocess
import threading
import time

import pytest

from client import Connection, ConnectionEnded
from harness import wait_until

TEXT = "".join("body { color: #%06x }\n" % (n * 7919) for n in range(500))


class Answer:
    """What curl got: the head as a list of pairs, and the body as bytes."""

    def __init__(self, head: str, body: bytes):
        lines = head.strip().splitlines()
        self.status = int(lines[0].split()[1])
        self.fields = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        self.body = body

    def __getitem__(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


@pytest.fixture
def curl(tmp_path):
    """curl(site, path, options...) gives an Answer."""

    def ask(site, path: str, *options: str) -> Answer:
        head, body = tmp_path / "head", tmp_path / "body"
        body.write_bytes(b"")
        url = "http://127.0.0.1:%d%s" % (site.port, path)
        subprocess.run(
            ["curl", "-sS", "--path-as-is", "--max-time", "10", "-D", str(head), "-o", str(body), *options, url],
            check=True,
        )
        return Answer(head.read_bytes().decode().split("\r\n\r\n")[-2], body.read_bytes())

    return ask


@pytest.fixture
def site(make_site):
    return make_site(
        web={
            "files": "public",
            "cache": {"/assets/*": "public, max-age=31536000, immutable", "*.html": "no-cache"},
            "headers": {"X-Frame-Options": "DENY"},
            "redirects": {"/old": "/docs", "/blog/*": "https://blog.example.com/*"},
            "errors": {"404": "errors/404.html"},
        },
        files={
            "public/index.html": "<h1>home</h1>",
            "public/docs/index.html": "<h1>docs</h1>",
            "public/assets/style.css": TEXT,
            "public/assets/app.js": "pretend script" * 100,
            "public/assets/app.js.gz": gzip.compress(b"pretend script" * 100, mtime=0),
            "public/picture.png": os.urandom(300_000),
            "public/errors/404.html": "<h1>lost?</h1>",
            "public/.env": "SECRET=1",
        },
        ready="/docs/",
    )


def test_files_have_type_tags_dates_and_the_sites_headers(site, curl):
    answer = curl(site, "/")
    assert (answer.status, answer.body) == (200, b"<h1>home</h1>")
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert re.fullmatch(r'"[0-9a-f]{16}"', answer["ETag"])
    assert answer["Last-Modified"].endswith(" GMT")
    assert answer["Cache-Control"] == "no-cache"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert curl(site, "/assets/app.js")["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_large_file_arrives_whole_and_in_part(site, curl):
    picture = (site.folder / "public/picture.png").read_bytes()
    assert curl(site, "/picture.png").body == picture
    part = curl(site, "/picture.png", "-r", "100000-199999")
    assert (part.status, part["Content-Range"]) == (206, "bytes 100000-199999/300000")
    assert part.body == picture[100000:200000]
    assert curl(site, "/picture.png", "-r", "-10").body == picture[-10:]
    assert curl(site, "/picture.png", "-r", "300000-").status == 416
    several = curl(site, "/picture.png", "-r", "0-9,200-209")
    boundary = several["Content-Type"].split("boundary=")[1].encode()
    assert [piece.split(b"\r\n\r\n")[1][:10] for piece in several.body.split(b"--" + boundary)[1:-1]] == [
        picture[0:10],
        picture[200:210],
    ]


def test_an_interrupted_download_goes_on_where_it_ended(site, tmp_path):
    picture = (site.folder / "public/picture.png").read_bytes()
    copy = tmp_path / "picture.png"
    copy.write_bytes(picture[:12345])
    url = "http://127.0.0.1:%d/picture.png" % site.port
    subprocess.run(["curl", "-sS", "-C", "-", "-o", str(copy), url], check=True)
    assert copy.read_bytes() == picture


def test_a_copy_is_only_confirmed(site, curl, tmp_path):
    first = curl(site, "/assets/style.css")
    again = curl(site, "/assets/style.css", "-H", "If-None-Match: " + first["ETag"])
    assert (again.status, again.body, again["ETag"]) == (304, b"", first["ETag"])
    assert curl(site, "/assets/style.css", "-H", "If-Modified-Since: " + first["Last-Modified"]).status == 304
    assert curl(site, "/assets/style.css", "-H", 'If-Match: "other"').status == 412


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_text_is_compressed(site, curl, tmp_path, coding):
    answer = curl(site, "/assets/style.css", "-H", "Accept-Encoding: " + coding)
    assert answer["Content-Encoding"] == coding
    assert answer["Vary"] == "Accept-Encoding"
    assert len(answer.body) < len(TEXT) / 2
    if coding == "gzip":
        assert gzip.decompress(answer.body) == TEXT.encode()


def test_curl_reads_what_it_asked_for_compressed(site, curl):
    assert curl(site, "/assets/style.css", "--compressed").body == TEXT.encode()
    assert curl(site, "/assets/app.js", "--compressed").body == b"pretend script" * 100
    assert curl(site, "/picture.png", "--compressed")["Content-Encoding"] is None


def test_precompressed_siblings_are_sent_as_they_are(site, curl):
    answer = curl(site, "/assets/app.js", "-H", "Accept-Encoding: gzip")
    assert answer.body == (site.folder / "public/assets/app.js.gz").read_bytes()
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"


def test_redirects(site, curl):
    assert curl(site, "/docs")["Location"] == "/docs/"
    assert curl(site, "/docs?page=2")["Location"] == "/docs/?page=2"
    assert curl(site, "/old")["Location"] == "/docs/"
    assert curl(site, "/blog/2024/a")["Location"] == "https://blog.example.com/2024/a"
    assert curl(site, "//blog.example.com/..")["Location"] is None


def test_www_leads_to_the_bare_domain_in_one_step(make_site, curl):
    site = make_site(
        site={"domain": "shop.example"}, web={"files": "public"}, files={"public/docs/index.html": "docs"}
    )
    answer = curl(site, "/docs?x=1", "-H", "Host: www.shop.example:%d" % site.port)
    assert answer.status == 308
    assert answer["Location"] == "http://shop.example:%d/docs/?x=1" % site.port
    assert curl(site, "/docs/", "-H", "Host: shop.example").status == 200


def test_the_rest_goes_to_the_app(site, curl):
    assert curl(site, "/api/users").status != 404
    assert curl(site, "/docs/", "-d", "posted").status != 405
    assert [entry["target"] for entry in site.recorder.requests() if entry["target"] != "/recorder/up"] == [
        "/api/users",
        "/docs/",
    ]


def test_what_must_stay_secret_stays_so(site, curl):
    (site.folder / "public/link").symlink_to("/etc/passwd")
    (site.folder / "public/site").symlink_to("../site.toml")
    os.mkfifo(site.folder / "public/fifo")
    for path in ["/.env", "/%2eenv", "/link", "/site", "/fifo"]:
        answer = curl(site, path)
        assert (answer.status, answer.body) == (404, b"<h1>lost?</h1>"), path
    for path in ["/../site.toml", "/%2e%2e/site.toml", "/docs/..%2f..%2fsite.toml", "/..;/site.toml", "/a%00b"]:
        assert curl(site, path).status == 400, path


def test_without_an_app_what_is_missing_is_404(make_site, curl):
    site = make_site(app=None, web={"files": "public"}, files={"public/index.html": "home"}, ready="/")
    answer = curl(site, "/missing")
    assert answer.status == 404
    assert b"There is no page at this address." in answer.body
    assert curl(site, "/", "-d", "posted").status == 405
    assert curl(site, "/missing", "-H", "Accept: application/json").body == b'{"status": 404, "error": "Not Found"}\n'


def test_a_single_page_application_gets_its_index(make_site, curl):
    site = make_site(
        app=None,
        web={"files": "public", "fallback": "index"},
        files={"public/index.html": "spa", "public/app.js": "js"},
    )
    assert curl(site, "/users/1").body == b"spa"
    assert curl(site, "/app.js").body == b"js"
    assert curl(site, "/missing.js").status == 404


def test_a_change_is_served_at_once(site, curl):
    tag = curl(site, "/docs/")["ETag"]
    for number in range(20):
        text = "version %d" % number
        new = site.write_file("public/docs/next.tmp", text)
        new.rename(site.folder / "public/docs/index.html")
        wait_until(lambda: curl(site, "/docs/").body == text.encode(), text, seconds=2.0)
    assert curl(site, "/docs/")["ETag"] != tag


def test_a_file_that_appears_is_served(site, curl):
    assert curl(site, "/late.txt").status != 404  # the app's
    site.write_file("public/late.txt", "here now")
    wait_until(lambda: curl(site, "/late.txt").body == b"here now", "the new file", seconds=2.0)


def test_a_file_written_under_load_is_never_torn(site):
    """Whoever replaces a file by rename is promised: each answer is one whole version."""
    path = site.folder / "public/page.html"
    path.write_text("0" * 5000)
    torn, stop = [], threading.Event()

    def read():
        with Connection(site.port) as connection:
            while not stop.is_set():
                body = connection.get("/page.html").body
                if len(body) != 5000 or len(set(body)) != 1:
                    torn.append(body)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    end = time.monotonic() + 0.5
    number = 0
    while time.monotonic() < end:
        number += 1
        site.write_file("public/page.tmp", str(number % 10) * 5000).rename(path)
    stop.set()
    for reader in readers:
        reader.join()
    assert not torn


def test_a_file_cut_short_while_it_is_sent_ends_in_an_error(site):
    """The client must not take a part for the whole."""
    path = site.write_file("public/huge.bin", b"x" * 50_000_000)
    with Connection(site.port) as connection:
        connection.send(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.socket.recv(1000)
        os.truncate(path, 1000)
        with pytest.raises((OSError, ConnectionEnded)):
            got = 0
            while got < 50_000_000:
                data = connection.socket.recv(1 << 20)
                if not data:
                    raise ConnectionEnded()
                got += len(data)
