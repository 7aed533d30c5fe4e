"""What the member of a site asks of its own server over the control socket, step by step: versions
of the site file, releases that another server built, draining, secrets."""

import io
import json
import os
import signal
import socket
import tarfile
import threading

import pytest
from client import RoundRobin
from control import Question, ask, fetch, send_release
from harness import free_port, is_listening, wait_until
from test_deploy import SECONDS, assert_serves, command, deployable, folders, numbers, project, releases  # noqa: F401


def archive_of(version: str, **more: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in project(version, **more).items():
            data = content.encode()
            entry = tarfile.TarInfo("./" + path)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def build(site, number: int, version: str, **more: str) -> dict:
    return send_release(site, "build-release", archive_of(version, **more), release=number, by="test")


def status(site) -> dict:
    return ask(site, "status")


# ---- versions of the site file


def changed_text(site, old: str, new: str) -> bytes:
    text = site.file.read_text()
    assert old in text
    return text.replace(old, new).encode()


def test_a_version_of_the_site_file_is_written_whole_and_served(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "a", "other/a.txt": "b"})
    site.file.chmod(0o640)
    text = changed_text(site, '"public"', '"other"')
    said = ask(site, "take-site", text, version=12)
    assert said["ok"], said
    assert any(line.startswith("web: files") for line in said["changed"]), said
    assert site.file.read_bytes() == text
    assert site.file.stat().st_mode & 0o777 == 0o640
    wait_until(lambda: site.get("/a.txt").text == "b", "the new folder")
    assert status(site)["applied"] == 12
    site.kill("terrace: controller")
    wait_until(lambda: os.path.exists(site.folder / "terrace/run/control.sock") and try_status(site).get("applied") == 12,
               "the next controller knows the version", SECONDS)


def try_status(site) -> dict:
    try:
        return status(site)
    except (OSError, AssertionError):
        return {}


def test_a_version_that_is_only_checked_changes_nothing(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "a", "other/a.txt": "b"})
    before = site.file.read_bytes()
    port = free_port()
    text = changed_text(site, '"127.0.0.1:%d"]' % site.port, '"127.0.0.1:%d", "127.0.0.1:%d"]' % (site.port, port))
    said = ask(site, "take-site", text, version=12, check_only=True)
    assert said["ok"] and len(said["changed"]) == 1, said
    assert site.file.read_bytes() == before
    assert "applied" not in status(site)
    wait_until(lambda: not is_listening(port), "the port that was tried is free again")
    assert site.get("/a.txt").text == "a"


@pytest.mark.parametrize("check_only", [True, False])
def test_a_version_with_mistakes_is_refused_by_its_own_name(make_site, check_only):
    site = make_site()
    before = site.file.read_bytes()
    said = ask(site, "take-site", before + b"\n[wep]\n", version=2, check_only=check_only, name="new.toml")
    assert not said["ok"]
    assert "new.toml:" in said["diagnostics"][0] and "`wep`" in said["diagnostics"][0]
    assert site.file.read_bytes() == before


def test_a_version_whose_port_is_taken_is_refused(make_site):
    site, other = make_site(), make_site()
    text = changed_text(site, ":%d" % site.port, ":%d" % other.port)
    for check_only in (True, False):
        said = ask(site, "take-site", text, version=2, check_only=check_only)
        assert not said["ok"] and "another program listens there" in said["diagnostics"][0], said
    assert site.get("/").status < 500


def test_reload_takes_no_file_that_was_not_applied(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "a"})
    assert ask(site, "take-site", site.file.read_bytes(), version=3)["ok"]
    assert site.command("reload").returncode == 0, "the same file: secrets may have changed"
    applied = site.file.read_bytes()
    site.file.write_bytes(applied + b"\n# another\n")
    done = site.command("reload", check=False)
    assert done.returncode == 1
    assert "terrace apply" in done.stdout + done.stderr
    assert ask(site, "take-site", applied, version=3)["ok"]
    assert site.file.read_bytes() == applied


def test_a_site_file_that_is_cut_off_or_too_long_is_refused(make_site):
    site = make_site()
    before = site.file.read_bytes()
    with Question(site, "take-site", version=2) as question:
        question.send_frames(before[:40], ends=False)
        question.socket.shutdown(1)
        assert "cut off" in question.line()["error"]
    with Question(site, "take-site", version=2) as question:
        try:
            question.send_frames(b"#" * ((1 << 20) + 1))
        except OSError:
            pass
        assert "too long" in question.line()["error"]
    assert site.file.read_bytes() == before


def test_a_supervisor_that_may_not_write_the_file_leaves_the_site_as_it_is(make_site):
    if os.geteuid() != 0:
        pytest.skip("needs root to run the site as another user")
    site = make_site(user="nobody", web={"files": "public"}, files={"public/a.txt": "a", "other/a.txt": "b"})
    text = changed_text(site, '"public"', '"other"')
    os.chown(site.folder, 0, 0)
    said = ask(site, "take-site", text, version=2)
    assert not said["ok"] and "cannot be written" in said["diagnostics"][0], said
    assert site.get("/a.txt").text == "a"
    assert "applied" not in status(site)


# ---- steps of a deploy


def test_a_release_is_built_here_packed_and_staged_there(deployable):  # noqa: F811
    builder = deployable(app={"build": "echo built > built.txt", "writable": ["data"]})
    other = deployable(app={"build": "false", "writable": ["data"]})
    said = build(builder, 4, "one", **{"bin/tool": "x"})
    assert said["ok"] and said["release"] == 4 and said["serving"] == 0, said
    assert_serves(builder, "folder")
    packed = fetch(builder, "pack-release", release=4)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert "./built.txt" in archive.getnames()
    said = send_release(other, "stage-release", packed, release=4)
    assert said["ok"], said
    assert_serves(other, "folder")
    for site in (builder, other):
        assert numbers(site) == [4]
        said = ask(site, "switch-release", release=4)
        assert said["ok"] and said["serving"] == 4, said
        assert_serves(site, "one")
        assert (site.folder / "terrace/state/releases/4/data").is_symlink()
    assert (other.folder / "terrace/state/releases/4/built.txt").read_text() == "built\n"


def test_releases_switch_both_ways_and_back_to_the_folder(deployable):  # noqa: F811
    site = deployable()
    for number, version in ((1, "one"), (2, "two"), (5, "five")):
        assert build(site, number, version)["ok"]
    for number, version in ((2, "two"), (5, "five"), (2, "two"), (1, "one"), (0, "folder"), (5, "five")):
        said = ask(site, "switch-release", release=number)
        assert said["ok"] and said["serving"] == number, said
        assert_serves(site, version)
    assert ask(site, "switch-release", release=5)["ok"], "it serves already"
    site.restart()
    assert_serves(site, "five")


def test_a_step_that_fails_leaves_what_serves(deployable):  # noqa: F811
    site = deployable(app={"build": "test ! -e broken", "migrate": "test ! -e unmigratable", "start_timeout": "4s"})
    assert build(site, 1, "one")["ok"]
    assert ask(site, "switch-release", release=1)["ok"]
    said = build(site, 2, "two", broken="x")
    assert not said["ok"] and said["phase"] == "build", said
    assert folders(site) == ["1"]
    assert build(site, 3, "three", unmigratable="x")["ok"]
    said = ask(site, "migrate-release", release=3)
    assert not said["ok"] and said["phase"] == "migrate", said
    assert numbers(site) == [1, 3], "whether it is given up is not this server's decision"
    assert build(site, 4, "sick")["ok"]
    said = ask(site, "switch-release", release=4)
    assert not said["ok"] and said["phase"] == "start" and said["serving"] == 1, said
    assert_serves(site, "one")
    for number in (3, 4):
        assert ask(site, "fail-release", release=number, reason="it failed elsewhere")["ok"]
    assert folders(site) == ["1"]
    assert not ask(site, "fail-release", release=1)["ok"], "it serves"
    assert ask(site, "fail-release", release=9)["ok"], "it is not here"
    # The number that failed may come again, from a server that has it.
    assert build(site, 4, "four")["ok"]
    assert ask(site, "switch-release", release=4)["ok"]
    assert_serves(site, "four")


def test_a_release_that_is_worse_goes_back_by_itself(deployable):  # noqa: F811
    site = deployable(app={"bake": "60s"})
    assert build(site, 1, "one")["ok"]
    assert ask(site, "switch-release", release=1)["ok"]
    assert build(site, 2, "bad")["ok"]
    with RoundRobin([site.port], rate=100, expect=lambda response: True):
        said = ask(site, "switch-release", release=2, bake=True)
    assert not said["ok"] and said["phase"] == "bake" and said["serving"] == 1, said
    assert_serves(site, "one")


@pytest.mark.parametrize("command, members, why", [
    ("stage-release", {"release": 1}, "here already"),
    ("build-release", {"release": 0}, "numbered from 1"),
    ("switch-release", {"release": 7}, "not here"),
    ("migrate-release", {"release": 7}, "not here"),
    ("pack-release", {"release": 7}, "not here"),
    ("switch-release", {}, "unknown command"),
])
def test_a_step_that_makes_no_sense_is_refused(deployable, command, members, why):  # noqa: F811
    site = deployable()
    assert build(site, 1, "one")["ok"]
    assert why in ask(site, command, **members)["error"]


def test_an_upload_that_is_cut_off_is_no_release(deployable):  # noqa: F811
    site = deployable()
    with Question(site, "stage-release", release=3) as question:
        assert question.line()["ready"]
        question.send_frames(archive_of("one")[:2000], ends=False)
    wait_until(lambda: "deploy" not in releases(site), "it was given up", SECONDS)
    assert numbers(site) == [] and folders(site) == []
    assert send_release(site, "stage-release", archive_of("one"), release=3)["ok"]


def test_a_controller_that_is_killed_in_a_step_leaves_one_release_serving(deployable):  # noqa: F811
    site = deployable(app={"build": "sleep 30"})
    with Question(site, "build-release", release=1) as question:
        assert question.line()["ready"]
        question.send_frames(archive_of("one"))
        wait_until(lambda: try_releases(site).get("deploy", {}).get("phase") == "build", "the build", SECONDS)
        site.kill("terrace: controller")
    wait_until(lambda: try_releases(site).get("ok") and "deploy" not in try_releases(site), "the next one", SECONDS)
    wait_until(lambda: folders(site) == [], "the rest of it is gone", SECONDS)
    assert_serves(site, "folder")


def try_releases(site) -> dict:
    done = command(site, "releases", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def test_two_steps_at_once_wait_for_nobody(deployable):  # noqa: F811
    site = deployable(app={"build": "sleep 5"})
    answers = []
    thread = threading.Thread(target=lambda: answers.append(build(site, 1, "one")))
    thread.start()
    wait_until(lambda: releases(site).get("deploy"), "the first", SECONDS)
    assert "is under way" in build(site, 2, "two")["error"]
    assert not ask(site, "take-site", site.file.read_bytes(), version=2)["ok"]
    thread.join()
    assert answers[0]["ok"]


# ---- draining


def test_a_drained_server_refuses_nobody_who_can_go_elsewhere(make_site):
    drained, other = make_site(), make_site()
    with RoundRobin([drained.port, other.port], "/a", rate=200, clients=8, resend=False) as kept, \
            RoundRobin([drained.port, other.port], "/b", rate=100, clients=4, fresh=True) as fresh:
        for _ in range(3):
            kept.until(100)
            said = ask(drained, "drain", limit_seconds=30)
            assert said == {"ok": True, "connections": 0}
            assert not is_listening(drained.port)
            assert status(drained)["drained"]
            fresh.until(50)
            assert ask(drained, "undrain")["ok"]
            assert is_listening(drained.port)
    assert not kept.result.failures, kept.result
    assert not fresh.result.failures, fresh.result
    assert drained.recorder.requests() and other.recorder.requests()


def test_a_drained_server_finishes_what_it_has(make_site):
    site = make_site()
    with site.connect() as connection:
        connection.send(b"GET /wait/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        site.recorder.wait_for(1)
        assert ask(site, "drain", limit_seconds=1)["connections"] == 1
        site.recorder.go("x")
        response = connection.read_response()
        assert response.status == 200 and response["connection"] == "close"


def test_what_is_drained_stays_so_without_its_controller_and_after_a_change_of_the_file(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "a"})
    assert ask(site, "drain", limit_seconds=5)["ok"]
    before = site.kill("terrace: controller").pid
    wait_until(lambda: try_status(site).get("controller", {}).get("pid", before) != before, "the next one", SECONDS)
    wait_until(lambda: try_status(site).get("state") == "serving", "it serves", SECONDS)
    assert status(site)["drained"]
    assert ask(site, "take-site", site.file.read_bytes() + b"\n# changed\n", version=2)["ok"]
    assert not is_listening(site.port)
    site.kill("terrace: worker", signal.SIGKILL)
    wait_until(lambda: try_status(site).get("worker", {}).get("connected"), "the next worker", SECONDS)
    assert ask(site, "undrain")["ok"]
    wait_until(lambda: site.get("/a.txt").text == "a", "it serves again", SECONDS)


def binds(one: socket.socket, port: int) -> bool:
    try:
        one.bind(("127.0.0.1", port))
        return True
    except OSError:
        return False


def test_a_server_that_cannot_listen_again_stays_drained(make_site):
    site = make_site(web={"files": "public"}, files={"public/a.txt": "a"})
    assert ask(site, "drain", limit_seconds=5)["ok"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The worker keeps it for a moment longer than it says.
        wait_until(lambda: binds(other, site.port), "the address to be free", SECONDS)
        other.listen()
        said = ask(site, "undrain")
        assert not said["ok"] and "another program listens there" in said["error"], said
        assert status(site)["drained"], "whoever looks must see that it takes no visitors"
    assert ask(site, "undrain")["ok"] and not status(site)["drained"]
    assert site.get("/a.txt").text == "a"


# ---- secrets


def test_a_secret_is_stored_by_the_supervisor_and_taken_with_the_next_version(make_site):
    site = make_site(app={"env": {"RECORDER": "x", "TOKEN": "${secret:TOKEN}"}}, start=False)
    site.environment["TERRACE_FOLDER"] = str(site.folder / "terrace")
    text = site.file.read_bytes()
    site.write()
    site.start()
    refused = ask(site, "take-site", text, version=1)
    assert not refused["ok"] and "TOKEN" in refused["diagnostics"][0]
    value = "a b\xe4\n".encode("latin-1")
    said = ask(site, "store-secret", value, name="TOKEN")
    assert said == {"ok": True}
    stored = site.folder / "terrace/state/secrets/TOKEN"
    assert stored.read_bytes() == value and stored.stat().st_mode & 0o777 == 0o600
    assert ask(site, "take-site", text, version=1, check_only=True)["ok"]
    assert fetch(site, "read-secrets") == b"TOKEN=" + value + b"\0"
    assert ask(site, "remove-secret", name="TOKEN") == {"ok": True}
    assert ask(site, "remove-secret", name="TOKEN") == {"ok": True}, "it is gone"
    assert not stored.exists()


@pytest.mark.parametrize("name", ["", "../site.toml", "a/b", "x" * 300])
def test_a_secret_without_a_proper_name_is_refused(make_site, name):
    site = make_site()
    assert not ask(site, "store-secret", b"v", name=name)["ok"]
    assert not ask(site, "remove-secret", name=name)["ok"]
