"""The rules of the style test. Each takes the repository and yields findings."""

import ast
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cpp

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
BANNED = {"util", "utils", "common", "manager", "helper", "helpers", "impl", "misc"}
COMPONENTS = {"lb", "web", "app", "database", "firewall", "certificates", "dns", "monitor"}
SYSTEM_FOLDERS = ("arpa", "linux", "net", "netinet", "sys")
SYSTEM_HEADERS = {
    "dirent", "errno", "fcntl", "grp", "netdb", "poll", "pwd", "sched", "signal", "spawn", "time", "unistd",
}
FORBIDDEN = {
    r"\b(?:TODO|FIXME|XXX|HACK|NOCOMMIT)\b": "open ends belong into an issue",
    r"^(?:<{7}|>{7})(?: |$)": "a merge that was not finished",
    r"/(?:home|Users)/\w": "a folder of somebody's machine",
}


@dataclass(frozen=True)
class Finding:
    rule: str
    path: str
    line: int
    text: str

    def __str__(self):
        return "%s:%d: %s [%s]" % (self.path, self.line, self.text, self.rule)


class Repository:
    """The files under a root; `names` as git lists them, relative to it."""

    def __init__(self, root: Path, names: list[str]):
        self.root, self.names = root, sorted(names)
        self._texts: dict[str, str] = {}

    def text(self, name: str) -> str:
        if name not in self._texts:
            self._texts[name] = (self.root / name).read_text(errors="replace")
        return self._texts[name]

    def named(self, *endings: str, under: str = "") -> list[str]:
        return [name for name in self.names if name.endswith(endings) and name.startswith(under)]

    @cached_property
    def functions(self) -> dict[str, list[cpp.Function]]:
        found = {name: cpp.functions(self.text(name)) for name in self.named(".cc", ".h")}
        found.update((name, python_functions(self.text(name))) for name in self.named(".py"))
        return found

    @cached_property
    def layers(self) -> list[str]:
        """The folders of src/ bottom up, as src/CMakeLists.txt has them."""
        if "src/CMakeLists.txt" not in self.names:
            return []
        return re.findall(r"^add_subdirectory\((\w+)\)", self.text("src/CMakeLists.txt"), re.M)


def python_functions(text: str) -> list[cpp.Function]:
    nodes = ast.walk(ast.parse(text))
    return [
        cpp.Function(node.name, node.lineno, node.end_lineno - node.lineno + 1)
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def function_length(repository: Repository) -> Iterator[Finding]:
    for name, functions in repository.functions.items():
        for one in functions:
            if one.lines > FUNCTION_LINES_MAX:
                text = "%s has %d lines; at most %d" % (one.name, one.lines, FUNCTION_LINES_MAX)
                yield Finding("function-length", name, one.line, text)


def file_length(repository: Repository) -> Iterator[Finding]:
    for name in repository.named(".cc", ".h", ".py", ".cmake"):
        lines = repository.text(name).count("\n")
        if lines > FILE_LINES_MAX:
            yield Finding("file-length", name, 1, "%d lines; at most %d" % (lines, FILE_LINES_MAX))


def words(name: str) -> set[str]:
    """The words of a snake_case, kebab-case or TitleCase name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def banned_names(repository: Repository) -> Iterator[Finding]:
    for name in repository.names:
        for word in sorted(words(name) & BANNED):
            yield Finding("banned-name", name, 1, "`%s` says nothing in the name of a file or folder" % word)
    declared = re.compile(r"^\s*(?:namespace|class|struct|enum class|concept)\s+(\w[\w:]*)", re.M)
    for name in repository.named(".cc", ".h"):
        code = cpp.blank(repository.text(name))
        for match in declared.finditer(code):
            for word in sorted(words(match[1]) & BANNED):
                line = code.count("\n", 0, match.start(1)) + 1
                yield Finding("banned-name", name, line, "`%s` says nothing in `%s`" % (word, match[1]))


def _points_wrongly(layers: list[str], folder: str, target: str) -> str:
    if target not in layers:
        return "is not a folder of src/"
    if target != folder and {target, folder} <= COMPONENTS:
        return "is a sibling component"
    if folder in layers and layers.index(target) > layers.index(folder):
        return "is a folder above"
    return ""


def include_graph(repository: Repository) -> Iterator[Finding]:
    for name in repository.named(".cc", ".h", under="src/"):
        folder = name.split("/")[1]
        for include in cpp.includes(repository.text(name)):
            target = include.name.split("/")[0]
            if not include.quoted:
                continue
            if ".." in include.name.split("/") or "/" not in include.name:
                yield Finding("include", name, include.line, "`%s`: write folder/file.h" % include.name)
            elif wrong := _points_wrongly(repository.layers, folder, target):
                yield Finding("include", name, include.line, "`%s` %s" % (include.name, wrong))


def own_header_first(repository: Repository) -> Iterator[Finding]:
    names = set(repository.names)
    for name in repository.named(".cc", under="src/"):
        own = re.sub(r"(_test)?\.cc$", ".h", name)
        found = cpp.includes(repository.text(name))
        if own in names and found and found[0].name != own.removeprefix("src/"):
            yield Finding("own-header-first", name, found[0].line, "`%s` comes first" % own.removeprefix("src/"))


def pragma_once(repository: Repository) -> Iterator[Finding]:
    for name in repository.named(".h"):
        if not repository.text(name).startswith("#pragma once\n"):
            yield Finding("pragma-once", name, 1, "the first line is not `#pragma once`")


def public_headers(repository: Repository) -> Iterator[Finding]:
    """Third-party types stay out of headers, so that their cost and their names stay in one place."""
    for name in repository.named(".h", under="src/"):
        if name.endswith(("_test.h", "_fixture.h")):
            continue
        for include in cpp.includes(repository.text(name)):
            folder, _, rest = include.name.rpartition("/")
            stem = rest.removesuffix(".h")
            standard = not folder and (stem == rest or stem in SYSTEM_HEADERS)
            if not include.quoted and not standard and folder.split("/")[0] not in SYSTEM_FOLDERS:
                yield Finding("public-header", name, include.line, "<%s> belongs into a .cc" % include.name)


def never_built(repository: Repository) -> Iterator[Finding]:
    """Every source is named in the CMakeLists.txt of its folder, or of one above."""
    lists = {name: repository.text(name) for name in repository.names if name.endswith("CMakeLists.txt")}
    for name in repository.named(".cc"):
        above = [str(folder) for folder in Path(name).parents]
        for folder in above:
            within = name.removeprefix(folder + "/") if folder != "." else name
            text = lists.get("CMakeLists.txt" if folder == "." else folder + "/CMakeLists.txt", "")
            if re.search(r"(?<![\w/.])%s(?![\w.])" % re.escape(within), re.sub(r"#.*", "", text)):
                break
        else:
            yield Finding("never-built", name, 1, "no CMakeLists.txt names it")


def sleeping_tests(repository: Repository) -> Iterator[Finding]:
    for name in repository.named("_test.cc"):
        for number, line in enumerate(cpp.blank(repository.text(name)).splitlines(), 1):
            if re.search(r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\s*\(|\bsleep\(\d+\)", line):
                yield Finding("sleeping-test", name, number, "wait for the event, or use a virtual clock")


def coroutine_lambdas(repository: Repository) -> Iterator[Finding]:
    for name in repository.named(".cc", ".h"):
        for line in cpp.capturing_coroutines(repository.text(name)):
            yield Finding("coroutine-lambda", name, line, "a coroutine that captures; make it a function")


def forbidden_words(repository: Repository) -> Iterator[Finding]:
    patterns = {re.compile(pattern, re.M): why for pattern, why in FORBIDDEN.items()}
    patterns[re.compile(re.escape(str(repository.root)) + r"\b")] = "a folder of somebody's machine"
    for name in repository.names:
        if name.startswith("tests/style/") or "/corpus/" in name or name.endswith((".png", ".svg", ".ico")):
            continue
        for pattern, why in patterns.items():
            for match in pattern.finditer(repository.text(name)):
                line = repository.text(name).count("\n", 0, match.start()) + 1
                yield Finding("forbidden-word", name, line, "`%s`: %s" % (match.group(), why))


def corpora(repository: Repository) -> Iterator[Finding]:
    """A corpus without a fuzzer is never run, and a fuzzer without a corpus starts from nothing."""
    folders = {re.match(r"src/\w+/corpus/\w+(?=/)", name)[0] for name in repository.names if "/corpus/" in name}
    fuzzers = {re.sub(r"(\w+)_fuzz\.cc$", r"corpus/\1", name): name for name in repository.named("_fuzz.cc")}
    for folder in sorted(folders - set(fuzzers)):
        yield Finding("corpus", folder, 1, "no fuzzer reads this corpus")
    for folder in sorted(set(fuzzers) - folders):
        yield Finding("corpus", fuzzers[folder], 1, "its corpus %s is empty" % folder)


RULES = [
    function_length, file_length, banned_names, include_graph, own_header_first, pragma_once, public_headers,
    never_built, sleeping_tests, coroutine_lambdas, forbidden_words, corpora,
]


def figures(repository: Repository) -> str:
    """Of the sources without their tests: how long functions are and how much is comment."""
    sources = [name for name in repository.named(".cc", ".h", under="src/") if not name.endswith("_test.cc")]
    lengths = [one.lines for name in sources for one in repository.functions[name]] or [0]
    lines = sum(len(repository.text(name).split("\n")) - repository.text(name).count("\n\n") for name in sources)
    comments = sum(len(cpp.comment_lines(repository.text(name))) for name in sources)
    return "%d files, %d functions, median %d lines, longest %d; %.0f %% of the lines are comment" % (
        len(sources), len(lengths), statistics.median(lengths), max(lengths), 100 * comments / max(1, lines),
    )
