"""The scenarios of tests/scenarios, each in a lab of its own. The format: scenario.py."""

import json
import tomllib

import pytest
import scenario
from harness import ROOT
from lab import Visits

pytestmark = pytest.mark.machine

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
    ("about = 'x'", "has `about` and `site`"),
    ("about = 'x'\nsite = 'y'\nsecnods = 1.0", "unknown key `secnods`"),
    ("about = 'x'\nsite = 'y'\nseconds = 'z'", "`seconds` must be a float"),
    ("about = 'x'\nsite = 'y'\n[[steps]]\nat = 1.0", "either `lab`, or `on` and `run`"),
    ("about = 'x'\nsite = 'y'\n[[steps]]\nlab = 'heal'\non = 'lb1'\napply = 'z'", "either `lab`, or `on` and `run`"),
    ("about = 'x'\nsite = 'y'\n[[steps]]\nat = 2.0\nlab = 'heal'\n[[steps]]\nlab = 'heal'", "order of their times"),
    ("about = 'x'\nsite = 'y'\n[expect.nobody]\nfailed = 0", "no such client"),
])
def test_a_wrong_scenario_is_refused(text, why, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(scenario.Wrong, match=why):
        scenario.read(file)


@pytest.mark.parametrize("backend, state, good", [
    ("web1", "up", True), ("web2", "slow start|up", True), ("web2", "up", False), ("*", "up", False),
    ("*", "up|slow start", True), ("web3", "up", False),
])
def test_a_step_asks_what_is_known_of_a_backend(backend, state, good):
    class Known:
        def server_status(self, server):
            assert server == "lb1"
            return {"backends": [{"name": "web1", "state": "up"}, {"name": "web2", "state": "slow start"}]}

    step = scenario.Step(on="lb1", backend=backend, state=state)
    step.check()
    assert scenario.good(step, scenario.attempt(step, Known())) == good


def test_lines_take_the_place_of_a_table_of_the_site():
    site = "[site]\nname = 'x'\n\n[lb]\nqueue = 1\nhash = '[lb]'\n\n[lb.pools]\na = {}\n"
    changed = tomllib.loads(scenario.with_lb(site, "queue = 2"))
    assert changed == {"site": {"name": "x"}, "lb": {"queue": 2, "pools": {"a": {}}}}
    assert tomllib.loads(scenario.with_lb("[site]\n", "queue = 2"))["lb"] == {"queue": 2}


def test_every_setting_of_the_load_balancer_is_applied_by_its_scenario():
    """A key that is new shall be in the scenario, too."""
    schema = json.loads((ROOT / "docs/site.schema.json").read_text())
    keys = set(schema["properties"]["lb"]["properties"]) - {"backends", "pools", "vips"}
    story = scenario.read(ROOT / "tests/scenarios/lb-every-setting-is-applied.toml")
    applied = [tomllib.loads(step.apply) for step in story.steps if step.apply]
    assert {key for lines in applied for key in lines} == keys


def test_what_is_worse_than_expected_is_said():
    """A judge who finds everything well would be none."""
    story = scenario.Scenario(about="x", site="y", clients={"a": {}},
                              expect={"a": {"failed": 0, "longest_gap": 1.0, "good": 10}})
    good = Visits(sent=10, good=10)
    assert scenario.judge(story, {"a": good}) == []
    assert len(scenario.judge(story, {"a": Visits(sent=10, good=9, failed=1, longest_gap=2.0)})) == 3


@pytest.mark.parametrize("limits, good, bad", [
    ({"served_by": ["web1", "web2"]}, {"web1": 9, "web2": 1}, {"web1": 10}),
    ({"spread": 1}, {"web1": 5, "web2": 4}, {"web1": 6, "web2": 4}),
    ({"shares": {"web1": [0.4, 0.6]}}, {"web1": 5, "web2": 5}, {"web1": 7, "web2": 3}),
    ({"shares": {"web1": [0.1, 0.6]}}, {"web1": 5, "web2": 5}, {}),
])
def test_who_answered_is_judged(limits, good, bad):
    story = scenario.Scenario(about="x", site="y", clients={"a": {}}, expect={"a": limits})
    assert scenario.judge(story, {"a": Visits(by_name=good)}) == []
    assert len(scenario.judge(story, {"a": Visits(by_name=bad)})) == 1
