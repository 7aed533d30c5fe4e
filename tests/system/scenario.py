"""Scenarios: a site, its visitors, what is broken when, and what must hold, in one readable file.

    about   = "One of two web servers loses its power: no visitor notices"
    seconds = 6.0                    # how long the visitors come, at least

    site = '''                       # site.toml; or example = "1-distributed", a folder of examples/
    …'''
    lab  = '''…'''                   # lab.toml, where it needs one

    [files]                          # of the project that is deployed
    "public/index.html" = "hello"

    [clients.visitors]               # from the outside, at a constant rate; options of visitor.py
    rate = 50.0
    path = "/"

    [[steps]]                        # in this order, each not before its time
    at  = 1.0
    lab = "kill web1"                # words of `terrace lab`

    [[steps]]
    at     = 3.0
    on     = "web2"                  # a machine, in which a shell command is run
    run    = "terrace status --json --file /etc/terrace/site.toml"
    output = '"state":"serving"'     # must be in what it prints
    within = 20.0                    # it is run again until it succeeds, for so many seconds

    [expect.visitors]                # of each client
    failed      = 0                  # requests, at most
    longest_gap = 1.0                # seconds between two good answers, at most
    good        = 200                # requests, at least
    p99         = 2.0                # seconds, at most

    [[before]]                       # steps before the visitors come, without `at`; so is [[after]],
    lab = "cut web1 web2"            # when they have left

Unknown keys are errors. tests/scenarios/*.toml are run by test_scenarios.py.
"""

import select
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path

from harness import ROOT, wait_until
from lab import Lab, Visitors, Visits

STEP_SECONDS = 60.0
AT_MOST = ("failed", "longest_gap", "p99")
AT_LEAST = ("good",)


class Wrong(Exception):
    """The file of a scenario is not as it must be."""


@dataclass
class Step:
    at: float = 0.0
    lab: str = ""
    on: str = ""
    run: str = ""
    output: str = ""
    exit: int = 0
    within: float = 0.0

    def check(self):
        if bool(self.lab) == bool(self.on and self.run):
            raise Wrong("a step has either `lab`, or `on` and `run`: %s" % self)


@dataclass
class Scenario:
    about: str = ""
    seconds: float = 0.0
    site: str = ""
    example: str = ""
    lab: str = ""
    files: dict[str, str] = field(default_factory=dict)
    clients: dict[str, dict] = field(default_factory=dict)
    before: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    expect: dict[str, dict] = field(default_factory=dict)
    after: list[Step] = field(default_factory=list)

    def check(self):
        if not self.about or bool(self.site) == bool(self.example):
            raise Wrong("a scenario has `about`, and either `site` or `example`")
        for client, limits in self.expect.items():
            if client not in self.clients or set(limits) - set(AT_MOST + AT_LEAST):
                raise Wrong("expect.%s: no such client, or an unknown limit: %s" % (client, limits))
        for step in self.before + self.steps + self.after:
            step.check()
        if [step.at for step in self.steps] != sorted(step.at for step in self.steps):
            raise Wrong("the steps are not in the order of their times")


def built(kind, table: dict):
    """A dataclass of what a table says; every key must be known, and of its type."""
    known = {one.name: one.type for one in fields(kind)}
    for name, value in table.items():
        expected = known.get(name)
        if expected is None:
            raise Wrong("unknown key `%s`; known are %s" % (name, ", ".join(known)))
        number = expected is float and isinstance(value, (int, float))
        if isinstance(expected, type) and not number and not isinstance(value, expected):
            raise Wrong("`%s` must be a %s" % (name, expected.__name__))
    return kind(**table)


def read(path: Path) -> Scenario:
    table = tomllib.loads(path.read_text())
    for name in ("before", "steps", "after"):
        table[name] = [built(Step, step) for step in table.get(name, [])]
    scenario = built(Scenario, table)
    scenario.check()
    return scenario


def make(scenario: Scenario, make_lab) -> Lab:
    if scenario.example:
        return make_lab(project=ROOT / "examples" / scenario.example)
    return make_lab(site=scenario.site, files=scenario.files or None, beside=scenario.lab or None)


def take(step: Step, lab: Lab):
    """Does it once, or until it succeeds."""
    if not step.within:
        done = lab.run(*step.lab.split()) if step.lab else attempt(step, lab)
        assert step.lab or good(step, done), "%s: %d\n%s%s" % (step.run, done.returncode, done.stdout, done.stderr)
        return
    end = time.monotonic() + step.within
    while not good(step, done := attempt(step, lab)):
        what = step.run or step.lab
        assert time.monotonic() < end, "after %g s still not: %s\n%s%s" % (step.within, what, done.stdout, done.stderr)
        select.select([], [], [], 0.1)


def attempt(step: Step, lab: Lab):
    if step.lab:
        return lab.run(*step.lab.split(), check=False)
    return lab.exec(step.on, "sh", "-c", step.run, check=False, timeout=STEP_SECONDS)


def good(step: Step, done) -> bool:
    return done.returncode == step.exit and step.output in done.stdout


def play(scenario: Scenario, lab: Lab) -> dict[str, Visits]:
    """The visitors come, the steps are taken; what became of the visitors."""
    clients: dict[str, Visitors] = {}
    for step in scenario.before:
        take(step, lab)
    with ExitStack() as stack:
        for name, options in scenario.clients.items():
            clients[name] = stack.enter_context(lab.visitors(**options))
        began = time.monotonic()
        for step in scenario.steps:
            wait_until(lambda: time.monotonic() >= began + step.at, "its time", step.at + 1.0)
            print("%6.1f s  %s" % (time.monotonic() - began, step.lab or "%s: %s" % (step.on, step.run)))
            take(step, lab)
        wait_until(lambda: time.monotonic() >= began + scenario.seconds, "the end", scenario.seconds + 1.0)
    for step in scenario.after:
        take(step, lab)
    return {name: client.result for name, client in clients.items()}


def judge(scenario: Scenario, results: dict[str, Visits]) -> list[str]:
    """What was expected and is not so."""
    wrong = []
    for client, limits in scenario.expect.items():
        for name, limit in limits.items():
            value = getattr(results[client], name)
            if (name in AT_MOST and value > limit) or (name in AT_LEAST and value < limit):
                wrong.append("%s: %s is %s, expected %s %s" % (client, name, value,
                                                              "at most" if name in AT_MOST else "at least", limit))
    return wrong
