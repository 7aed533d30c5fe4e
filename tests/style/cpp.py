"""Enough of C++ to ask about style: where functions are, what is comment, what is included.

It reads clang-format's output, not every C++: a brace that touches the word before
it initialises, one after a space opens a body. The tests beside it say what it knows.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

TOKENS = re.compile(
    r"""//[^\n]*                                   # comment to the end of the line
      | /\*.*?\*/                                  # comment
      | R"(?P<mark>[^(\s]{0,16})\(.*?\)(?P=mark)"  # raw string
      | "(?:\\.|[^"\\\n])*"                        # string
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'        # character, not a digit separator
    """,
    re.S | re.X,
)
PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.M)


@dataclass(frozen=True)
class Function:
    name: str
    line: int  # the first of its signature
    lines: int  # from there to its closing brace


@dataclass(frozen=True)
class Include:
    line: int
    name: str
    quoted: bool


def blank(text: str) -> str:
    """The same text with spaces for comments, strings and the preprocessor; lines stay where they are."""

    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group())

    return PREPROCESSOR.sub(spaces, TOKENS.sub(spaces, text))


def comment_lines(text: str) -> set[int]:
    """Numbers of the lines that hold nothing but comment."""
    found = set()
    for match in TOKENS.finditer(text):
        if match.group().startswith(("//", "/*")) and not text[: match.start()].rpartition("\n")[2].strip():
            first = text.count("\n", 0, match.start()) + 1
            found.update(range(first, first + match.group().count("\n") + 1))
    return found


def includes(text: str) -> list[Include]:
    lines = enumerate(text.splitlines(), 1)
    matches = ((number, re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)) for number, line in lines)
    return [Include(number, match[2], match[1] == '"') for number, match in matches if match]


def _kind(head: str, touches: bool) -> str:
    """What a brace opens outside of functions: scope, function or initialiser."""
    head = re.sub(r"\[\[.*?\]\]", " ", head)
    head = re.sub(r"^\s*template\s*<[^;{}]*?>\s*(?=\w+[\s:<*&])", "", head).strip()
    if re.match(r"(?:inline\s+)?namespace\b|extern\s*$|(?:typedef\s+)?(?:class|struct|union|enum)\b", head):
        return "scope"
    outside = re.sub(r"\([^()]*\)", "()", re.sub(r"\([^()]*\)", "()", head))
    if touches or "(" not in head or ("=" in outside and "operator" not in outside):
        return "initialiser"
    return "function"


def _name(head: str) -> str:
    test = re.search(r"\bTEST(?:_F|_P)?\s*\(\s*(\w+)\s*,\s*(\w+)", head)
    if test:
        return test[1] + "." + test[2]
    match = re.search(r"([\w:~]+|operator\s*\S+?)\s*\(", head)
    return match[1] if match else "?"


def functions(text: str) -> list[Function]:
    """Every function with a body; lambdas belong to the function they stand in."""
    code = blank(text)
    starts = [0] + [match.end() for match in re.finditer("\n", code)]
    found = []
    stack: list[tuple[str, int]] = []  # kind, start of the head
    head = 0
    for match in re.finditer(r"[{};]|\b(?:public|private|protected)\s*:", code):
        at, inside = match.start(), bool(stack) and stack[-1][0] in ("function", "block", "initialiser")
        if match.group() == "{":
            touches = not code[at - 1 : at].isspace()
            kind = "block" if inside else _kind(code[head:at], touches)
            stack.append((kind, head))
            if kind != "initialiser":
                head = match.end()
        elif match.group() == "}" and stack:
            kind, began = stack.pop()
            if kind == "function":
                first = began + len(code[began:at]) - len(code[began:at].lstrip())
                line, last = bisect_right(starts, first), bisect_right(starts, at)
                found.append(Function(_name(code[first:at]), line, last - line + 1))
            head = began if kind == "initialiser" else match.end()
        elif not inside:
            head = match.end()
    return found


def capturing_coroutines(text: str) -> list[int]:
    """Lines of lambdas that capture and are coroutines: their captures die before they do."""
    code = blank(text)
    found = []
    for match in re.finditer(r"(?<![\w\])])\[\s*[&=\w][^\[\]]*\]\s*(?:\([^{};]*\))?[^{};()]*\{", code):
        depth, end = 1, match.end()
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        if re.search(r"\bco_(?:await|return|yield)\b", code[match.end() : end]):
            found.append(code.count("\n", 0, match.start()) + 1)
    return found
