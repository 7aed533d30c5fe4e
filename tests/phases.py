#!/usr/bin/python3
"""The phases of ./test: builds, checks and tests, each with its time, and a summary.

Every phase runs even when one before it failed (unless it needs what that one
makes); the first failure is shown again at the end. The output of a phase is in
build/test/PHASE.log. Installing packages is ./test's own work.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build/test"
CORES = str(os.cpu_count() or 2)
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "--tb=short"]
TIDY_FILES_MAX = 60  # of one run on what changed; `full` takes every file
PROGRESS_SECONDS = 10.0
FUZZ_SECONDS = {"": 10, "full": 300}
INTERESTING = re.compile(r": Failure$|\[  FAILED  \]|^FAILED|\berror: |ERROR: |runtime error|^E   |Assertion .* failed")


@dataclass
class Outcome:
    """What a phase found: counts of single tests, 1 and 0 for a phase that is one check."""

    passed: int = 0
    failed: int = 0
    note: str = ""
    seconds: float = 0.0

    def add(self, passed: int, failed: int):
        self.passed += passed
        self.failed += failed


@dataclass
class Context:
    """A phase that runs: its log and its outcome."""

    name: str
    full: bool = False
    arguments: list[str] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def log(self) -> Path:
        return LOGS / (self.name + ".log")

    def say(self, text: str):
        print("   " + text, flush=True)
        with open(self.log, "a") as log:
            log.write(text + "\n")

    def run(self, command: list, show=lambda line: True, environment=None) -> tuple[int, str]:
        """Runs it; all of its output into the log, the lines that `show` picks on the screen too."""
        variables = {**os.environ, **SANITIZERS, **(environment or {})}
        child = subprocess.Popen([str(word) for word in command], cwd=ROOT, env=variables, text=True,
                                 errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        lines = []
        with open(self.log, "a") as log:
            log.write("$ " + " ".join(str(word) for word in command) + "\n")
            for line in child.stdout:
                log.write(line)
                log.flush()
                lines.append(line)
                if show(line):
                    print("   " + line, end="", flush=True)
        return child.wait(), "".join(lines)

    def check(self, command: list, **options) -> bool:
        """A command that is one test by itself."""
        status, _ = self.run(command, **options)
        self.outcome.add(status == 0, status != 0)
        return status == 0


SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1:halt_on_error=1",
    "ASAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-19",
    "TSAN_SYMBOLIZER_PATH": "/usr/bin/llvm-symbolizer-19",
    "NINJA_STATUS": "[%f/%t %es] ",
}


def now_and_then():
    """Shows a line of ninja's progress every few seconds, and every other line."""
    last = [time.monotonic()]

    def show(line: str) -> bool:
        if not re.match(r"\[\d+/\d+ ", line):
            return not line.startswith(("-- ", "Preset ", "  ", "\n", "ninja: "))
        if time.monotonic() - last[0] < PROGRESS_SECONDS:
            return False
        last[0] = time.monotonic()
        return True

    return show


def build(context: Context, preset: str):
    folder = ROOT / "build" / preset
    if not (folder / "build.ninja").exists():
        if not context.check(["cmake", "--preset", preset], show=lambda line: "rror" in line):
            return
    context.check(["ninja", "-C", folder], show=now_and_then())


def build_release(context: Context):
    build(context, "release")


def build_sanitized(context: Context):
    build(context, "fuzz")


def build_threads(context: Context):
    build(context, "tsan")


def unit_tests(context: Context, preset: str):
    """ctest on one build, counted by GoogleTest's own summaries."""
    command = ["ctest", "--test-dir", "build/" + preset, "--verbose", "--timeout", "300", "-j", CORES]
    if context.arguments:
        command += ["-R", "^(%s)$" % "|".join(context.arguments)]
    status, output = context.run(command, show=lambda line: "Test #" in line or "[  FAILED  ]" in line)
    passed = sum(int(count) for count in re.findall(r"\[  PASSED  \] (\d+) test", output))
    failed = sum(int(count) for count in re.findall(r"\[  FAILED  \] (\d+) test", output))
    if "No tests were found" in output:
        context.say("no unit tests were found")
        status = 1
    context.outcome.add(passed, max(failed, 1 if status else 0))


def unit(context: Context):
    unit_tests(context, "release")


def unit_sanitized(context: Context):
    unit_tests(context, "fuzz")


def unit_threads(context: Context):
    unit_tests(context, "tsan")


def pytest(context: Context, *arguments, environment=None):
    status, output = context.run([*PYTEST, *arguments], environment={"TERRACE_BIN": binary(), **(environment or {})})
    counts = dict((word, int(count)) for count, word in re.findall(r"(\d+) (passed|failed|error)", last_line(output)))
    failed = counts.get("failed", 0) + counts.get("error", 0)
    context.outcome.add(counts.get("passed", 0), max(failed, 1 if status not in (0, 5) else 0))


def binary() -> str:
    return os.environ.get("TERRACE_BIN", str(ROOT / "build/release/terrace"))


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def style(context: Context):
    status, output = context.run(["/usr/bin/python3", "tests/style/check.py"])
    context.outcome.add(status == 0, status != 0)
    pytest(context, "tests/style")


def sources(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in names if (ROOT / name).exists()]


def format_check(context: Context):
    files = sources("*.cc", "*.h")
    context.check(["clang-format-19", "--dry-run", "--Werror", *files])


def changed() -> set[str]:
    """Files changed in the working tree and since the branch left origin/main, or in the last three commits."""

    def names(*arguments) -> list[str]:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.split() if done.returncode == 0 else []

    base = names("merge-base", "HEAD", "origin/main")
    if not base or base == names("rev-parse", "HEAD"):
        base = names("rev-parse", "HEAD~3") or names("rev-list", "--max-parents=0", "HEAD")[-1:]
    new = names("ls-files", "--others", "--exclude-standard")
    return set(names("diff", "--name-only", *base)) | set(new) if base else set(sources("*.cc"))


def tidy_files(context: Context) -> list[str]:
    """Sources of src/ and examples/; of a changed header the source beside it. Tests only in `full`."""
    everything = [name for name in sources("src/*.cc", "examples/*.cc", "bench/*.cc")]
    if context.full:
        return everything
    stems = {os.path.splitext(name)[0] for name in changed() if name.endswith((".cc", ".h"))}
    chosen = [name for name in everything if name[:-3] in stems and not name.endswith(("_test.cc", "_fuzz.cc"))]
    if len(chosen) > TIDY_FILES_MAX:
        context.say("%d files changed; the first %d are looked at" % (len(chosen), TIDY_FILES_MAX))
    return chosen[:TIDY_FILES_MAX]


def tidy(context: Context):
    files = tidy_files(context)
    if not files:
        context.say("no source changed")
        return
    # One pattern each: run-clang-tidy takes regular expressions of absolute paths.
    patterns = ["^%s$" % re.escape(str(ROOT / name)) for name in files]
    context.check(["run-clang-tidy-19", "-quiet", "-p", "build/release", "-j", CORES, *patterns],
                  show=lambda line: "warning:" in line or "error:" in line)
    context.outcome.note = "%d files" % len(files)


def fuzzers(context: Context) -> list[tuple[Path, Path]]:
    """Every fuzzer that was built with the folder of its corpus."""
    found = []
    for binary_file in sorted((ROOT / "build/fuzz").glob("*_fuzz")):
        corpus = list((ROOT / "src").glob("*/corpus/" + binary_file.name.removesuffix("_fuzz")))
        found.append((binary_file, corpus[0] if corpus else ROOT / "build/fuzz/no-corpus"))
    if not found:
        context.say("no fuzzer was built")
    return found


def fuzz(context: Context):
    """The corpus of every fuzzer is replayed, then each one searches for a while; one fuzzer per core."""
    seconds = int(os.environ.get("FUZZ_SECONDS", FUZZ_SECONDS["full" if context.full else ""]))
    (ROOT / "build/fuzz/artifacts").mkdir(parents=True, exist_ok=True)
    (ROOT / "build/fuzz/no-corpus").mkdir(exist_ok=True)
    with ThreadPoolExecutor(int(CORES)) as cores:
        for one, text in cores.map(lambda found: fuzz_one(*found, seconds), fuzzers(context)):
            context.outcome.add(one.outcome.passed, one.outcome.failed)
            with open(context.log, "a") as log:
                log.write(one.log.read_text(errors="replace"))
            context.say(text)


def fuzz_one(fuzzer: Path, corpus: Path, seconds: int) -> tuple[Context, str]:
    """One fuzzer with a log of its own, which keeps a failure readable beside the others."""
    context = Context("fuzz-" + fuzzer.name)
    context.log.unlink(missing_ok=True)
    found = ROOT / "build/fuzz/found" / fuzzer.name
    found.mkdir(parents=True, exist_ok=True)
    artifacts = ROOT / "build/fuzz/artifacts" / fuzzer.name
    limits = ["-rss_limit_mb=2048", "-timeout=10", "-artifact_prefix=%s-" % artifacts]
    began = time.monotonic()
    good = context.check([fuzzer, "-runs=0", *limits, corpus], show=lambda line: "ERROR" in line)
    good = good and context.check([fuzzer, "-max_total_time=%d" % seconds, *limits, found, corpus],
                                  show=lambda line: "ERROR" in line or line.startswith("SUMMARY"))
    runs = re.findall(r"^Done (\d+) runs", context.log.read_text(errors="replace"), re.M)
    state = "%s runs" % runs[-1] if good and runs else "FAILED"
    return context, "%s: %s in %.0f s" % (fuzzer.name, state, time.monotonic() - began)


def system(context: Context):
    """Nearly all of it is waiting, so what needs the machine for itself runs beside what does not."""
    if context.arguments:
        pytest(context, *context.arguments, "--durations=8")
        return
    parts = {"system-machine": "machine", "system-sites": "not machine"}
    with ThreadPoolExecutor(len(parts)) as side_by_side:
        for one in side_by_side.map(lambda name: system_part(name, parts[name]), parts):
            context.outcome.add(one.outcome.passed, one.outcome.failed)
            with open(context.log, "a") as log:
                log.write(one.log.read_text(errors="replace"))


def system_part(name: str, marks: str) -> Context:
    """The tests with these marks, with a log of their own."""
    context = Context(name)
    context.log.unlink(missing_ok=True)
    pytest(context, "tests/system", "-m", marks, "--durations=8")
    return context


def soak(context: Context):
    pytest(context, "tests/system", "-m", "soak", environment={"SOAK_SECONDS": "300", "LB_SOAK_SECONDS": "3600"})


# In the order in which they run; what is quick to fail comes first.
PHASES = {
    "style": (style, "tests/style: function length, names, include graph, files never built, …"),
    "format": (format_check, "clang-format"),
    "build": (build_release, "the optimised build, assertions on"),
    "unit": (unit, "unit tests of that build"),
    "system": (system, "tests/system: real servers, clients and browsers"),
    "build-sanitized": (build_sanitized, "unit tests and fuzzers under ASan and UBSan"),
    "unit-sanitized": (unit_sanitized, "unit tests of that build"),
    "fuzz": (fuzz, "corpus replay, then each fuzzer for a while (FUZZ_SECONDS)"),
    "tidy": (tidy, "clang-tidy on what changed; everywhere in `full`"),
    "build-threads": (build_threads, "unit tests under TSan"),
    "unit-threads": (unit_threads, "unit tests of that build"),
    "soak": (soak, "system tests that take minutes"),
}
ONLY_FULL = ("build-threads", "unit-threads", "soak")
NEEDS = {
    "unit": "build", "system": "build", "tidy": "build",
    "unit-sanitized": "build-sanitized", "fuzz": "build-sanitized",
    "unit-threads": "build-threads", "soak": "build",
}  # what must have been built when a phase is asked for by its name
NAMED = {"": [name for name in PHASES if name not in ONLY_FULL], "full": list(PHASES), "unit": ["build", "unit"]}


def choose(names: list[str]) -> dict[str, list[str]]:
    """The phases to run, with the arguments of each."""
    if not names or names in (["unit"], ["full"]):
        return {name: [] for name in NAMED[names[0] if names else ""]}
    chosen: dict[str, list[str]] = {}
    for name in names:
        if name in PHASES:
            chosen.setdefault(name, [])
        elif (ROOT / "src" / name).is_dir():
            chosen.setdefault("unit", []).append(name)
        elif (ROOT / name.split("::")[0]).exists():
            chosen.setdefault("system", []).append(name)
        elif (ROOT / "tests/system" / ("test_%s.py" % name)).exists():
            chosen.setdefault("system", []).append("tests/system/test_%s.py" % name)
        else:
            sys.exit("./test: no phase, folder of src/ or test file named `%s`; see ./test --help" % name)
    needed = {NEEDS[name] for name in chosen if name in NEEDS}
    return {name: chosen.get(name, []) for name in PHASES if name in chosen or name in needed}


def run_phase(context: Context):
    function = PHASES[context.name][0]
    context.log.unlink(missing_ok=True)
    print("== %s" % context.name, flush=True)
    began = time.monotonic()
    try:
        function(context)
    except Exception as error:
        context.say("ERROR: %s: %s" % (type(error).__name__, error))
        context.outcome.add(0, 1)
    context.outcome.seconds = time.monotonic() - began
    print("   %s: %.1f s" % ("FAILED" if context.outcome.failed else "ok", context.outcome.seconds), flush=True)


def run_all(chosen: dict[str, list[str]], full: bool) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for name, arguments in chosen.items():
        context = Context(name, full, arguments)
        needs = outcomes.get(NEEDS.get(name, ""))
        if needs and needs.failed:
            print("== %s\n   skipped: %s failed" % (name, NEEDS[name]))
            outcomes[name] = Outcome(note="skipped: %s failed" % NEEDS[name])
            continue
        run_phase(context)
        outcomes[name] = context.outcome
    return outcomes


def show_first_failure(outcomes: dict[str, Outcome]):
    name = next((name for name, outcome in outcomes.items() if outcome.failed), None)
    if name is None:
        return
    log = LOGS / (name + ".log")
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    first = next((at for at, line in enumerate(lines) if INTERESTING.search(line)), max(0, len(lines) - 30))
    print("\nfirst failure, in %s (again: ./test %s; all of it: %s):" % (name, name, log.relative_to(ROOT)))
    for line in lines[max(0, first - 5) : first + 30]:
        print("   " + line[:300])


def summary(outcomes: dict[str, Outcome], packages: float) -> int:
    show_first_failure(outcomes)
    print("\n%-16s %8.1f s" % ("packages", packages))
    for name, one in outcomes.items():
        counts = "%d passed, %d failed" % (one.passed, one.failed)
        print("%-16s %8.1f s  %s%s" % (name, one.seconds, counts, "  (%s)" % one.note if one.note else ""))
    seconds = packages + sum(one.seconds for one in outcomes.values())
    passed, failed = (sum(getattr(one, kind) for one in outcomes.values()) for kind in ("passed", "failed"))
    print("%-16s %8.1f s" % ("all", seconds))
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    names = "\n".join("  %-16s %s" % (name, about) for name, (_, about) in PHASES.items())
    parser = argparse.ArgumentParser(
        prog="./test", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the tests. Without a NAME: what CI runs.",
        epilog="phases (logs in build/test/):\n%s\n\nalso: a folder of src/ (its unit tests), a file or test id under "
        "tests/,\nor the middle of tests/system/test_NAME.py" % names)
    parser.add_argument("names", nargs="*", metavar="NAME", help="`unit`, `full`, or any of those below")
    parser.add_argument("--began", type=float, default=time.time(), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    LOGS.mkdir(parents=True, exist_ok=True)
    packages = time.time() - options.began
    print("== packages\n   ok: %.1f s" % packages, flush=True)
    return summary(run_all(choose(options.names), options.names == ["full"]), packages)


if __name__ == "__main__":
    sys.exit(main())
