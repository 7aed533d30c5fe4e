"""The JSON schema of the site file, as an editor's plug-in uses it. It judges what Terrace
judges of names, types and words, and never refuses a file that Terrace serves."""

import json
import tomllib

import jsonschema
import pytest
from documentation import blocks
from harness import ROOT

SCHEMA = json.loads((ROOT / "docs/site.schema.json").read_text())
CASES = sorted((ROOT / "tests/site").glob("*.toml"))
# What a schema says as well as the program does; ranges of durations it does not see.
SEEN = [case for case in CASES if case.name.startswith(("wrong-type-", "near-miss-", "missing-address", "later"))]


def refused(case) -> bool:
    return "error[" in case.with_suffix(".txt").read_text()


def mistakes(text: str) -> list[str]:
    validator = jsonschema.Draft4Validator(SCHEMA)
    return ["/".join(map(str, error.path)) + ": " + error.message for error in validator.iter_errors(tomllib.loads(text))]


def test_the_schema_is_one():
    jsonschema.Draft4Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("case", [case for case in CASES if not refused(case)], ids=lambda case: case.stem)
def test_a_file_that_is_served_fits(case):
    assert mistakes(case.read_text()) == []


@pytest.mark.parametrize("case", SEEN, ids=lambda case: case.stem)
def test_a_wrong_name_or_type_does_not_fit(case):
    assert mistakes(case.read_text())


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*/site.toml")), ids=lambda path: path.parent.name)
def test_an_example_fits(example):
    assert mistakes(example.read_text()) == []


def test_the_examples_of_the_manual_fit():
    examples = [block.text for block in blocks((ROOT / "docs/site-file.md").read_text()) if block.language == "toml"]
    assert len(examples) > 2
    assert [mistakes(example) for example in examples] == [[]] * len(examples)
