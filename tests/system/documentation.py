"""Finds the code blocks of Markdown pages; docs/testing.md says what their marks mean."""

import re
from dataclasses import dataclass

SERVES_AT = "http://localhost:8080/"
START_SECONDS = 60


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    marks: dict[str, str]  # "serves" and "root" to "", "skip" to its reason, "file" to a path
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced code blocks of a page, top to bottom."""
    found = []
    for match in re.finditer(r"^```(\S*)([^\n]*)\n(.*?)^```$", page, re.M | re.S):
        marks = dict(word.partition("=")[::2] for word in match[2].split())
        found.append(Block(page.count("\n", 0, match.start()) + 1, match[1], marks, match[3]))
    return found


def links(page: str) -> list[str]:
    """Where the links of a page lead, without addresses of the web and without #places."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S))
    return [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]


def script(page: str, name: str) -> str:
    """A bash script that does what the page says. It says which line failed."""
    parts = [
        "set -eu\nserved=\nat=%s\n" % name,
        "trap 'status=$?; [ $status = 0 ] || echo \"failed: the block at $at\"; stop; exit $status' EXIT\n"
        'stop() { if [ -n "$served" ]; then kill $served; wait $served || true; served=; fi; }\n'
        "served_until() {\n"
        "  for _ in $(seq %d); do\n" % (START_SECONDS * 10)
        + "    if curl -s -o /dev/null %s; then return; fi\n" % SERVES_AT
        + "    kill -0 $served; read -rt 0.1 <> <(:) || true\n"
        "  done\n"
        '  echo "nothing answers at %s"; return 1\n}\n' % SERVES_AT,
    ]
    for block in blocks(page):
        if "file" in block.marks:
            parts.append("cat >%s <<'END-OF-FILE'\n%sEND-OF-FILE\n" % (block.marks["file"], block.text))
        elif block.language == "sh" and "skip" not in block.marks:
            parts.append("at=%s:%d; echo \"== $at\"\n" % (name, block.line))
            if "serves" in block.marks:
                last = block.text.strip().splitlines()
                parts.append("stop\n%s\n%s &\nserved=$!\nserved_until\n" % ("\n".join(last[:-1]), last[-1]))
            else:
                as_root = "root" in block.marks
                parts.append("if [ $(id -u) = 0 ]; then\n%sfi\n" % block.text if as_root else block.text)
    return "".join(parts)
