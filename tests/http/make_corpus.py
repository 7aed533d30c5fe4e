#!/usr/bin/python3
"""Writes the cases of cases.toml as seeds for the fuzzers of src/http.

    tests/http/make_corpus.py FOLDER

makes FOLDER/<fuzzer>/<number>. To take over what adds coverage:

    build/fuzz/chunk_fuzz -set_cover_merge=1 src/http/corpus/chunk FOLDER/chunk
"""

import sys
import tomllib
from pathlib import Path

BYTES_MAX = 3000  # longer inputs only slow a fuzzer down
# Two bytes before the input say where to split it.
SPLIT = b"\x07\x00"
FUZZERS = {
    "request": ("request_head", "round_trip"),
    "response": ("response_head", "round_trip"),
    "chunk": ("chunk", "round_trip"),
    "path": ("url",),
}


def case_bytes(value) -> bytes:
    """A string, or a list of strings and of { text, times }."""
    parts = [value] if isinstance(value, str) else value
    texts = [part if isinstance(part, str) else part["text"] * part["times"] for part in parts]
    return "".join(texts).encode("latin-1")


def main(folder: Path):
    table = tomllib.loads((Path(__file__).parent / "cases.toml").read_text())
    for number, case in enumerate(table["case"]):
        data = case_bytes(case["bytes"])[:BYTES_MAX]
        for fuzzer in FUZZERS[case["side"]]:
            seeds = folder / fuzzer
            seeds.mkdir(parents=True, exist_ok=True)
            prefix = b"" if fuzzer in ("round_trip", "url") else SPLIT
            (seeds / str(number)).write_bytes(prefix + data)
    for number, case in enumerate(table["case"]):
        if "authority" in case:
            (folder / "url" / f"authority-{number}").write_text(case["authority"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
