"""Scenarios: a site, its visitors, what is broken when, and what must hold, in one readable file.

    about   = "One of two web servers loses its power: no visitor notices"
    seconds = 6.0                    # how long the visitors come, at least

    site = '''                       # site.toml
    …'''
    lab  = '''…'''                   # lab.toml, where it needs one

    [files]                          # of the project that is deployed
    "public/index.html" = "hello"

    [copies]                         # the same, from files beside the scenario
    "app.py" = "answers.py"

    [clients.visitors]               # from the outside, at a constant rate; options of visitor.py
    rate = 50.0
    path = "/"

    [clients.chats]                  # WebSockets that stay open; options of sockets.py
    sockets = 8

    [clients.later]
    from  = 5.0                      # they come so much later, and leave
    until = 8.0                      # before the others
    rate  = 50.0

    [[steps]]                        # in this order, each not before its time
    at  = 1.0
    lab = "kill web1"                # words of `terrace lab`

    [[steps]]
    at     = 3.0
    on     = "web2"                  # a machine, in which a shell command is run
    run    = "terrace status --json --file /etc/terrace/site.toml"
    output = '"state":"serving"'     # must be in what it prints
    within = 20.0                    # it is run again until it succeeds, for so many seconds

    [[steps]]
    at      = 3.5
    on      = "lb1"
    backend = "web2"                 # what this load balancer says of it, or of "*", all of them
    state   = "away"                 # gets no requests; or words of `terrace status`: "slow start|up"
    within  = 5.0

    [[steps]]
    at    = 4.0
    apply = "balance = 'ip-hash'"    # these lines take the place of the site's table [lb]: `terrace apply`
    on    = "lb1"

    [expect.visitors]                # of each client
    failed      = 0                  # requests, at most
    longest_gap = 1.0                # seconds between two good answers, at most
    good        = 200                # requests, at least
    p99         = 2.0                # seconds, at most
    slowest     = 3.0                # seconds that anybody waited, at most
    slow        = 10                 # requests that took over half a second, at most
    served_by   = ["web1", "web2"]   # exactly these answered: who writes X-Served-By
    spread      = 1                  # by which their numbers of answers differ, at most
    shares      = { web2 = [0.3, 0.4] }

    [[before]]                       # steps before the visitors come, without `at`; so is [[after]],
    lab = "cut web1 web2"            # when they have left

Unknown keys are errors. tests/scenarios/*.toml are run by test_scenarios.py.
"""

import re
import select
import subprocess
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path

from harness import wait_until
from lab import Lab, Visitors, Visits

STEP_SECONDS = 60.0
AT_MOST = ("failed", "longest_gap", "p99", "slowest", "slow", "spread")
AT_LEAST = ("good",)
OF_NAMES = ("served_by", "shares")


class Wrong(Exception):
    """The file of a scenario is not as it must be."""


@dataclass
class Step:
    at: float = 0.0
    lab: str = ""
    on: str = ""
    run: str = ""
    apply: str = ""
    backend: str = ""
    state: str = ""
    output: str = ""
    exit: int = 0
    within: float = 0.0

    def check(self):
        kinds = [self.lab, self.on and self.run, self.on and self.apply, self.on and self.backend and self.state]
        if len([kind for kind in kinds if kind]) != 1:
            raise Wrong("a step has either `lab`, or `on` and `run`, `apply`, or `backend` and `state`: %s" % self)

    @property
    def words(self) -> str:
        """For a person."""
        if self.backend:
            return "%s: %s is %s" % (self.on, self.backend, self.state)
        return self.lab or "%s: %s" % (self.on, self.run or "apply [lb] " + self.apply.strip().replace("\n", ", "))


@dataclass
class Scenario:
    about: str = ""
    seconds: float = 0.0
    site: str = ""
    lab: str = ""
    files: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    clients: dict[str, dict] = field(default_factory=dict)
    before: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    expect: dict[str, dict] = field(default_factory=dict)
    after: list[Step] = field(default_factory=list)

    def check(self):
        if not self.about or not self.site:
            raise Wrong("a scenario has `about` and `site`")
        for client, limits in self.expect.items():
            if client not in self.clients or set(limits) - set(AT_MOST + AT_LEAST + OF_NAMES):
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
    for name, source in scenario.copies.items():
        scenario.files[name] = (path.parent / source).read_text()
    return scenario


def make(scenario: Scenario, make_lab) -> Lab:
    return make_lab(site=scenario.site, files=scenario.files or None, beside=scenario.lab or None)


def take(step: Step, lab: Lab):
    """Does it once, or until it succeeds."""
    if step.apply:
        lab.write(step.on, "/root/next.toml", with_lb(lab.file.read_text(), step.apply))
        lab.terrace(step.on, "apply", "/root/next.toml")
    elif not step.within:
        done = lab.run(*step.lab.split()) if step.lab else attempt(step, lab)
        assert step.lab or good(step, done), "%s: %d\n%s%s" % (step.words, done.returncode, done.stdout, done.stderr)
    else:
        take_until_good(step, lab)


def take_until_good(step: Step, lab: Lab):
    end = time.monotonic() + step.within
    while not good(step, done := attempt(step, lab)):
        assert time.monotonic() < end, "after %g s still not: %s\n%s%s" % (
            step.within, step.words, done.stdout, done.stderr)
        select.select([], [], [], 0.1)


def with_lb(site: str, lines: str) -> str:
    """The site file with these lines in its table [lb]."""
    without = re.sub(r"^\[lb\]\n(?:(?!\[).*\n)*", "", site, flags=re.M)
    return "%s\n[lb]\n%s\n" % (without, lines)


def attempt(step: Step, lab: Lab):
    if step.backend:
        return look_at_backends(step, lab)
    if step.lab:
        return lab.run(*step.lab.split(), check=False)
    return lab.exec(step.on, "sh", "-c", step.run, check=False, timeout=STEP_SECONDS)


def look_at_backends(step: Step, lab: Lab):
    """As a command that fails while any of them is in another state."""
    if step.state == "away":  # `terrace status` would wait for the server itself
        page = lab.shell(step.on, "curl -s http://127.0.0.1:9180/metrics")
        away = re.findall(r'^terrace_backend_up\{.*backend="(.*)"\} 0$', page, re.M)
        return subprocess.CompletedProcess([], int(step.backend not in away), stdout=str(away), stderr="")
    backends = (lab.server_status(step.on) or {}).get("backends", [])
    meant = [one for one in backends if step.backend in ("*", one["name"])]
    wrong = not meant or any(one["state"] not in step.state.split("|") for one in meant)
    return subprocess.CompletedProcess([], int(wrong), stdout=str(meant), stderr="")


def good(step: Step, done) -> bool:
    return done.returncode == step.exit and step.output in done.stdout


class Play:
    """What happens in the order of its times: steps, and clients that come and leave."""

    def __init__(self, scenario: Scenario, lab: Lab, stack: ExitStack):
        self.scenario, self.lab, self.stack = scenario, lab, stack
        self.clients: dict[str, Visitors] = {}
        self.came: dict[str, float] = {}
        self.began = 0.0

    def come(self, name: str):
        options = {key: value for key, value in self.scenario.clients[name].items() if key not in ("from", "until")}
        client = self.lab.sockets(**options) if "sockets" in options else self.lab.visitors(**options)
        self.clients[name] = self.stack.enter_context(client)
        self.came[name] = time.monotonic()

    def leave(self, name: str):
        """Not before its whole time, even where steps took longer than they should."""
        options = self.scenario.clients[name]
        stays = options["until"] - options.get("from", 0.0)
        wait_until(lambda: time.monotonic() >= self.came[name] + stays, "its time", stays + 1.0)
        self.clients[name].__exit__()

    def events(self) -> list:
        """Times, what is printed, and what is done."""
        found = [(step.at, step.words, lambda step=step: take(step, self.lab))
                 for step in self.scenario.steps]
        for name, options in self.scenario.clients.items():
            if "from" in options:
                found.append((options["from"], name + " come", lambda name=name: self.come(name)))
            if "until" in options:
                found.append((options["until"], name + " leave", lambda name=name: self.leave(name)))
        return sorted(found, key=lambda event: event[0])

    def run(self):
        for name, options in self.scenario.clients.items():
            if "from" not in options:
                self.come(name)
        self.began = time.monotonic()
        for at, what, act in self.events():
            self.wait_for(at, "its time")
            print("%6.1f s  %s" % (time.monotonic() - self.began, what))
            act()
        self.wait_for(self.scenario.seconds, "the end")

    def wait_for(self, at: float, what: str):
        wait_until(lambda: time.monotonic() >= self.began + at, what, at + 1.0)


def play(scenario: Scenario, lab: Lab) -> dict[str, Visits]:
    """The visitors come, the steps are taken; what became of the visitors."""
    for step in scenario.before:
        take(step, lab)
    with ExitStack() as stack:
        this = Play(scenario, lab, stack)
        this.run()
    for step in scenario.after:
        take(step, lab)
    return {name: client.result for name, client in this.clients.items()}


def judge(scenario: Scenario, results: dict[str, Visits]) -> list[str]:
    """What was expected and is not so."""
    wrong = []
    for client, limits in scenario.expect.items():
        for name, limit in limits.items():
            if why := misses(results[client], name, limit):
                wrong.append("%s: %s" % (client, why))
    return wrong


def misses(result: Visits, name: str, limit) -> str:
    """Why a result is not within this limit; empty: it is."""
    if name == "served_by":
        served = sorted(result.by_name)
        return "" if served == sorted(limit) else "%s answered, expected %s" % (served, sorted(limit))
    if name == "shares":
        shares = {one: round(result.share(one), 3) for one in limit}
        far = [one for one, (least, most) in limit.items() if not least <= shares[one] <= most]
        return "shares are %s, expected %s" % (shares, limit) if far else ""
    value = getattr(result, name)
    if (name in AT_MOST and value > limit) or (name in AT_LEAST and value < limit):
        return "%s is %s, expected %s %s" % (name, value, "at most" if name in AT_MOST else "at least", limit)
    return ""
