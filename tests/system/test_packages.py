"""The package lists and the script that installs them; installing itself is what ./test begins with."""

import os
import re
import subprocess

import pytest
from harness import ROOT

LISTS = sorted((ROOT / "packages").glob("*.txt"))
LINE = re.compile(r"[a-z0-9][a-z0-9.+-]+( unless=\S+)? +# \S.*")


def install(*lists, path: str | None = None) -> subprocess.CompletedProcess:
    environment = {**os.environ, **({"PATH": path} if path else {})}
    command = [str(ROOT / "packages/install"), *(str(one) for one in lists)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.name)
def test_every_line_is_a_package_with_its_reason(file):
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_no_package_is_listed_twice():
    names = [line.split()[0] for file in LISTS for line in file.read_text().splitlines() if line[:1] != "#"]
    assert sorted(names) == sorted(set(names))


def test_nothing_is_said_or_done_when_all_is_installed():
    done = install(ROOT / "packages/build.txt", ROOT / "packages/test.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_command_that_is_there_already_needs_no_package(tmp_path):
    (tmp_path / "list").write_text("no-such-package unless=bash  # there is a bash\n")
    assert install(tmp_path / "list").returncode == 0


def test_who_may_not_install_is_told_what_to_install(tmp_path):
    """An ordinary user without sudo: `id` and the absence of sudo are played, the rest is real."""
    for name in ("bash", "env", "cat", "comm", "sort", "sed", "dpkg-query", "apt-get", "readlink"):
        (tmp_path / name).symlink_to("/usr/bin/" + name)
    (tmp_path / "id").write_text("#!/usr/bin/bash\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    (tmp_path / "list").write_text("no-such-package  # for this test\n")
    done = install(tmp_path / "list", path=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install no-such-package" in done.stderr


def test_a_call_without_a_list_says_how():
    assert install().returncode == 2
