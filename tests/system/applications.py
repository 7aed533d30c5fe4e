"""The applications of examples/ and fresh skeletons of frameworks, each in a site of its own.

    site = example(make_site, "guestbook-flask")   # ready to be started
    site = skeleton(make_site, "django")           # after `terrace init`
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from harness import BINARY, ROOT, Site

EXAMPLES = ROOT / "examples"
GUESTBOOKS = ["guestbook-node", "guestbook-flask", "guestbook-django", "guestbook-rails"]
START_SECONDS = 90.0  # Rails on a busy machine
DEPLOY_SECONDS = 240
NPM_CACHE = ROOT / "build/test/npm"
PYTHON = "/usr/bin/python3"  # Debian's, whatever is first on the PATH
# What somebody may have set who tried an application by hand.
NOT_OURS = ["RAILS_ENV", "DATABASE_URL", "SECRET_KEY_BASE", "DJANGO_SECRET_KEY", "NODE_ENV"]


def run(command: list, folder: Path, given: str | None = None, seconds: float = 120.0) -> str:
    """What it printed; an error of the test when it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=environment, input=given or "",
                          capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, "%s in %s: %s" % (command, folder, done.stdout + done.stderr)
    return done.stdout


def npm_ci(folder: Path):
    """`npm ci`, whose result is kept for the other tests of the same lock file."""
    lock = (folder / "package-lock.json").read_bytes()
    kept = NPM_CACHE / hashlib.sha256(lock).hexdigest()[:16]
    if not (kept / "complete").exists():
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, kept / name)
        run(["npm", "ci", "--no-audit", "--no-fund"], kept, seconds=300)
        (kept / "complete").touch()
    run(["cp", "-a", kept / "node_modules", folder], folder)


def with_ports(text: str, instances: int | None) -> str:
    """A site file on this test's ports, and otherwise as it was."""
    text = text.replace("[site]\n", '[site]\nadmin = "127.0.0.1:{admin_port}"\n', 1)
    listen = 'listen = ["127.0.0.1:{port}"]\n'
    text = text.replace("[web]\n", "[web]\n" + listen, 1) if "[web]\n" in text else text + "\n[web]\n" + listen
    if instances and "[app]\n" in text and "\ninstances" not in text:
        text = text.replace("[app]\n", "[app]\ninstances = %d\n" % instances, 1)
    return text


def copy_tree(source: Path, target: Path):
    """What git keeps of an example, so that nothing comes along that somebody tried there."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "."], cwd=source,
                            capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        if name != "site.toml":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


def prepare(folder: Path):
    """What the head of the example's site.toml says to do first."""
    if (folder / "package-lock.json").exists():
        npm_ci(folder)
    if (folder / "Gemfile").exists():
        run(["bundle", "lock", "--local"], folder)
    if (folder / "manage.py").exists():
        run([PYTHON, "manage.py", "collectstatic", "--noinput"], folder)


def set_secrets(site: Site):
    for name in ("DJANGO_SECRET_KEY", "SECRET_KEY_BASE"):
        if "${secret:%s}" % name in site.file.read_text():
            command = [str(site.binary), "secret", "set", name, "--file", str(site.file)]
            subprocess.run(command, input="0123456789abcdef" * 8, text=True, check=True, cwd=site.folder,
                           env=site.environment, capture_output=True)


def example(make_site, name: str, instances: int | None = 1, ready: str = "/up") -> Site:
    """An example in a folder of its own, prepared but not started."""
    text = with_ports((EXAMPLES / name / "site.toml").read_text(), instances)
    site = make_site(start=False, text=text, ready=ready)
    copy_tree(EXAMPLES / name, site.folder)
    prepare(site.folder)
    set_secrets(site)
    return site


def start(site: Site) -> Site:
    site.start(wait=False)
    site.wait_until_serving(START_SECONDS)
    return site


def for_tests(site: Site) -> Site:
    """Nothing is fetched from anywhere in the middle of a test: the packages come with the release."""
    text = re.sub(r'^build = "npm ci"$', 'build = "node --version"', site.file.read_text(), flags=re.M)
    site.file.write_text(text.replace("[app]\n", '[app]\nbake = "1s"\n', 1))
    return site


def terrace(site: Site, *arguments: str, status: int = 0) -> str:
    """What a command of this site printed that may take as long as a deploy."""
    command = [str(site.binary), arguments[0], "--file", str(site.file), *arguments[1:]]
    done = subprocess.run(command, cwd=site.folder, env=site.environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=DEPLOY_SECONDS)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


# ---- skeletons


def django(folder: Path):
    run(["django-admin", "startproject", "mysite", folder], folder)


def rails(folder: Path):
    # Without JavaScript: webpacker needs packages of Debian's Node, and a machine may have another.
    run(["rails", "new", folder, "--name", "shop", "--skip-bundle", "--skip-javascript", "--skip-git",
         "--skip-system-test", "--quiet"], folder)
    run(["bundle", "lock", "--local"], folder)


FLASK = """from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello_world():
    return "<p>Hello, World!</p>"
"""


def flask(folder: Path):
    (folder / "app.py").write_text(FLASK)


EXPRESS = """const express = require('express')
const app = express()
const port = process.env.PORT || 3000

app.get('/', (req, res) => {
  res.send('Hello World!')
})

app.listen(port, () => {
  console.log(`Example app listening on port ${port}`)
})
"""


def express(folder: Path):
    """As Express' own "Hello world" page says; its packages are those of the example."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(EXAMPLES / "guestbook-node" / name, folder / name)
    npm_ci(folder)
    package = {"name": "hello", "version": "1.0.0", "main": "app.js", "dependencies": {"express": "*"}}
    (folder / "package.json").write_text(json.dumps(package))
    (folder / "app.js").write_text(EXPRESS)


def static(folder: Path):
    (folder / "index.html").write_text("<!doctype html><title>Files</title><h1>Files alone</h1>")


CPP = r"""#include <arpa/inet.h>
#include <cstdlib>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

int main() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(std::atoi(std::getenv("PORT")));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener, 64) != 0) return 1;
  const std::string end = "\r\nConnection: close\r\n\r\n";
  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    char request[4096] = "";
    (void)!read(client, request, sizeof request - 1);
    const bool home = std::string(request).starts_with("GET / ");
    const std::string answer = home ? "HTTP/1.1 200 OK" + end + "Hello from C++" : "HTTP/1.1 404 Not Found" + end;
    (void)!write(client, answer.data(), answer.size());
    close(client);
  }
}
"""


def cpp(folder: Path):
    """Built in its folder, as `terrace init` says."""
    (folder / "main.cc").write_text(CPP)
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(hello CXX)\n"
        "set(CMAKE_CXX_STANDARD 20)\nadd_executable(hello main.cc)\n")
    run(["cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release"], folder)
    run(["cmake", "--build", "build"], folder)


SKELETONS = {"django": django, "rails": rails, "flask": flask, "node": express, "static": static,
             "cpp": cpp}
# What the page of each says.
WELCOME = {
    "django": "The install worked successfully",
    "rails": "Yay! You’re on Rails!",
    "flask": "Hello, World!",
    "node": "Hello World!",
    "static": "Files alone",
    "cpp": "Hello from C++",
}


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(BINARY), "init", *arguments], cwd=folder, capture_output=True, text=True, timeout=30)


def skeleton(make_site, name: str) -> Site:
    """A fresh project and the site.toml that `terrace init` wrote, on this test's ports."""
    site = make_site(start=False)
    shutil.rmtree(site.recorder.folder)
    for left in ("recorder.py", "site.toml"):
        (site.folder / left).unlink()
    SKELETONS[name](site.folder)
    done = init(site.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    site.write(text=with_ports(site.file.read_text(), instances=1))
    return site
