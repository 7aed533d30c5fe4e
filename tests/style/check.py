#!/usr/bin/python3
"""The style test: prints what breaks a rule of rules.py and exits with 1 if anything does.

An exception is a line `RULE PATH  # why` in exceptions.txt; one that is no longer
needed is a finding too.
"""

import json
import subprocess
import sys
from pathlib import Path

from rules import RULES, Finding, Repository, figures

ROOT = Path(__file__).resolve().parents[2]
EXCEPTIONS = Path(__file__).parent / "exceptions.txt"


def listed(root: Path) -> list[str]:
    """What git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (root / name).is_file()]


def newer(one: Path, other: Path) -> bool:
    return one.stat().st_mtime > other.stat().st_mtime


def not_compiled(repository: Repository, build: Path) -> list[Finding]:
    """Sources that CMake names and no build compiles. Fuzzers are in a build of their own.
    A build that was configured before a CMakeLists.txt changed cannot tell."""
    database = build / "compile_commands.json"
    lists = repository.named("CMakeLists.txt", ".cmake")
    if not database.exists() or any(newer(repository.root / name, database) for name in lists):
        return []
    compiled = {str(Path(entry["file"]).resolve()) for entry in json.loads(database.read_text())}
    sources = [name for name in repository.named(".cc") if not name.endswith("_fuzz.cc")]
    return [
        Finding("never-built", name, 1, "not in %s" % database.relative_to(repository.root))
        for name in sources
        if str((repository.root / name).resolve()) not in compiled
    ]


def exceptions(text: str) -> set[tuple[str, str]]:
    lines = [line.partition("#") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for words, _, why in lines:
        if len(words.split()) != 2 or not why.strip():
            sys.exit("exceptions.txt: write `RULE PATH  # why`: %s" % words)
    return {tuple(words.split()) for words, _, _ in lines}


def check(repository: Repository, allowed: set[tuple[str, str]]) -> list[Finding]:
    findings = [finding for rule in RULES for finding in rule(repository)]
    findings += not_compiled(repository, repository.root / "build/release")
    used = {(finding.rule, finding.path) for finding in findings}
    unused = [Finding(rule, path, 1, "an exception that is not needed") for rule, path in sorted(allowed - used)]
    return [finding for finding in findings if (finding.rule, finding.path) not in allowed] + unused


def main() -> int:
    repository = Repository(ROOT, listed(ROOT))
    findings = check(repository, exceptions(EXCEPTIONS.read_text() if EXCEPTIONS.exists() else ""))
    for finding in findings:
        print("error: %s" % finding)
    print("style: %s; %d findings" % (figures(repository), len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
