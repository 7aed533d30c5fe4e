"""Fixtures of the system tests: `make_site(...)` and `site` (harness.py), `make_lab(...)` and `lab` (lab.py)."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import BINARY, Site  # noqa: E402
from lab import Lab, why_not  # noqa: E402


@pytest.fixture
def make_site(request):
    """A function that makes and starts a Site; all of them are closed and checked at the end.

    start=False only writes it. The other arguments are Site's.
    """
    sites = []
    request.node.sites = sites

    def make(start: bool = True, **arguments) -> Site:
        if not BINARY.exists():
            pytest.fail("%s is not built: run `./test`, or set TERRACE_BIN" % BINARY)
        site = Site(**arguments)
        sites.append(site)
        return site.start() if start else site

    yield make
    errors = []
    for site in reversed(sites):
        try:
            site.close()
        except AssertionError as error:
            errors.append(str(error))
    if errors:
        pytest.fail("\n".join(errors), pytrace=False)


@pytest.fixture
def site(make_site):
    """A running site whose app records, with one instance and no database."""
    return make_site()


@pytest.fixture
def make_lab(request):
    """A function that makes a Lab and brings it up; all of them are removed and checked at the end.

    up=False only writes its files; `options` are of `terrace lab up`. The other arguments are Lab's.
    """
    if why_not():
        pytest.skip(why_not())
    labs = []
    request.node.labs = labs

    def make(up: bool = True, options: tuple = (), **arguments) -> Lab:
        lab = Lab(**arguments)
        labs.append(lab)
        return lab.up(*options) if up else lab

    yield make
    errors = []
    for lab in reversed(labs):
        try:
            lab.close()
        except (AssertionError, TimeoutError, subprocess.TimeoutExpired) as error:
            errors.append(str(error))
    if errors:
        pytest.fail("\n".join(errors), pytrace=False)


@pytest.fixture
def lab(make_lab):
    """A lab of one web server with a file."""
    return make_lab()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Under a failing test: what its sites printed."""
    report = (yield).get_result()
    if report.failed and call.when == "call":
        for one in getattr(item, "sites", []):
            report.sections.append(("terrace in %s" % one.folder, one.log()[-8000:]))
        for one in getattr(item, "labs", []):
            report.sections.append(("lab %s" % one.name, one.log()[-20000:]))
