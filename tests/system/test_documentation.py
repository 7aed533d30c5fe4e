"""What the documentation says is true: its commands run, its links lead somewhere."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from documentation import blocks, links, script
from harness import BINARY, ROOT

pytestmark = pytest.mark.machine


def listed(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


PAGES = listed("*.md")
RUNNABLE = [page for page in PAGES if any(b.language == "sh" for b in blocks((ROOT / page).read_text()))]


@pytest.fixture
def checkout():
    """A copy of the repository that shares its build, where other users may look, too: pytest closes its own folders."""
    with tempfile.TemporaryDirectory(prefix="terrace-page-", ignore_cleanup_errors=True) as folder:
        around = Path(folder)
        around.chmod(0o755)
        copy = around / "terrace"
        for name in listed():
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
        (copy / "build").symlink_to(ROOT / "build")
        (around / "home").mkdir()
        yield copy


def in_a_network_of_its_own(command: list[str]) -> list[str]:
    """As root: nobody else listens on the ports that the documentation names."""
    if os.geteuid() != 0:
        return command
    return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


@pytest.mark.parametrize("page", RUNNABLE)
def test_the_commands_of_a_page_run(page, checkout):
    assert BINARY.exists(), "build first: ./test build"
    home = checkout.parent / "home"
    environment = {**os.environ, "HOME": str(home), "TERRACE_FOLDER": str(checkout.parent / "folder"),
                   "TERRACE_LAB_FOLDER": str(checkout.parent / "labs")}
    command = in_a_network_of_its_own(["bash", "-c", script((ROOT / page).read_text(), page)])
    done = subprocess.run(command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180)
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page):
    missing = [link for link in links((ROOT / page).read_text()) if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


def test_blocks_are_found_with_their_marks():
    page = "a\n```sh serves\n./run\n```\n\n```toml file=~/x.toml\na = 1\n```\n"
    first, second = blocks(page)
    assert (first.line, first.language, first.marks, first.text) == (2, "sh", {"serves": ""}, "./run\n")
    assert second.marks == {"file": "~/x.toml"}


@pytest.mark.parametrize("text, status", [("true", 0), ("false\ntrue", 1), ("echo $((1", 1)])
def test_a_block_that_fails_fails_its_page(text, status):
    done = subprocess.run(["bash", "-c", script("```sh\n%s\n```\n" % text, "x.md")], capture_output=True, text=True)
    assert (done.returncode != 0) == bool(status), done.stdout
