"""The scenarios of tests/scenarios, each in a lab of its own. The format: scenario.py."""

import pytest
import scenario
from harness import ROOT
from lab import Visits

FILES = sorted((ROOT / "tests/scenarios").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario(file, make_lab):
    story = scenario.read(file)
    print(story.about)
    results = scenario.play(story, scenario.make(story, make_lab))
    for name, result in results.items():
        print("%s: %s" % (name, result))
    wrong = scenario.judge(story, results)
    assert not wrong, "%s\n%s" % ("\n".join(wrong), results)


@pytest.mark.parametrize("text, why", [
    ("about = 'x'", "either `site` or `example`"),
    ("about = 'x'\nsite = 'y'\nsecnods = 1.0", "unknown key `secnods`"),
    ("about = 'x'\nsite = 'y'\nseconds = 'z'", "`seconds` must be a float"),
    ("about = 'x'\nsite = 'y'\n[[steps]]\nat = 1.0", "either `lab`, or `on` and `run`"),
    ("about = 'x'\nsite = 'y'\n[[steps]]\nat = 2.0\nlab = 'heal'\n[[steps]]\nlab = 'heal'", "order of their times"),
    ("about = 'x'\nsite = 'y'\n[expect.nobody]\nfailed = 0", "no such client"),
])
def test_a_wrong_scenario_is_refused(text, why, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(scenario.Wrong, match=why):
        scenario.read(file)


def test_what_is_worse_than_expected_is_said():
    """A judge who finds everything well would be none."""
    story = scenario.Scenario(about="x", site="y", clients={"a": {}},
                              expect={"a": {"failed": 0, "longest_gap": 1.0, "good": 10}})
    good = Visits(sent=10, good=10)
    assert scenario.judge(story, {"a": good}) == []
    assert len(scenario.judge(story, {"a": Visits(sent=10, good=9, failed=1, longest_gap=2.0)})) == 3
