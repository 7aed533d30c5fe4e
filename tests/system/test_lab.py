"""`terrace lab`: machines in namespaces, what is broken in them, and that nothing is left. See lab.py."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from browser import Browser
from client import Connection
from harness import BINARY, wait_until
from lab import Lab, interfaces, settings, why_not

pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

TWO = {"web1": ["web"], "web2": ["web"]}


def reaches(lab: Lab, one: str, other: str) -> bool:
    done = lab.exec(one, "ping", "-c", "1", "-W", "1", lab.address(other), check=False)
    return done.returncode == 0


# ---- what a machine is


def test_a_server_sees_itself_and_nothing_of_this_machine(make_lab):
    lab = make_lab(servers=TWO)
    assert lab.shell("web1", "hostname").strip() == "web1"
    assert lab.shell("web1", "cat /proc/1/cmdline | tr '\\0' ' '").strip() == "terrace: lab web1"
    own = set(lab.shell("web1", "ls -A /home /root /opt /srv /mnt /media /var/lib /tmp").split())
    assert own - {"/home:", "/root:", "/opt:", "/srv:", "/mnt:", "/media:", "/var/lib:", "/tmp:"} == {"dpkg", "terrace"}
    for path in (lab.folder, Path(__file__).parent, BINARY.parent, Path.home() / ".bashrc"):
        assert lab.exec("web1", "test", "-e", str(path), check=False).returncode == 1, path
    processes = lab.shell("web1", "ls -d /proc/[0-9]*").split()
    assert len(processes) < 20
    links = lab.shell("web1", "ls /sys/class/net; ip -o link | cut -d: -f2")
    assert set(links.replace("@if3", "").split()) <= {"lo", "eth0"} | set(re.findall(r"eth0@if\d+", links))


def test_root_in_a_server_cannot_reach_beyond_it(lab):
    for attempt in ("date -s 2030-01-01", "sysctl -w kernel.hostname=x || echo 1 > /proc/sys/kernel/panic",
                    "mknod /tmp/disk b 8 0", "echo b > /proc/sysrq-trigger", "modprobe dummy"):
        assert lab.exec("web1", "sh", "-c", attempt, check=False).returncode != 0, attempt
    # What is of its own network only is its own matter.
    own = Path("/proc/sys/net/ipv4/ip_forward")
    before, other = own.read_text(), "0" if lab.shell("web1", "cat %s" % own) == "1\n" else "1"
    lab.shell("web1", "echo %s > %s" % (other, own))
    assert lab.shell("web1", "cat %s" % own) == other + "\n" and own.read_text() == before


def test_a_command_is_run_as_over_ssh(lab):
    assert lab.exec("web1", "sh", "-c", "exit 7", check=False).returncode == 7
    assert lab.exec("web1", "no-such-command", check=False).returncode == 127
    assert lab.exec("web1", "cat", input="through the pipe").stdout == "through the pipe"
    assert lab.exec("web1", "printenv").stdout.count("TERRACE_LAB_FOLDER") == 0
    assert lab.shell("web1", "pwd; id -u").split() == ["/root", "0"]
    # An option of the command is no option of ours.
    assert lab.exec("web1", "echo", "--json", "-f").stdout == "--json -f\n"
    assert "no machine `web9`" in lab.exec("web9", "true", check=False).stderr


def programs(lab: Lab, machine: str) -> list[str]:
    return lab.shell(machine, "cat /proc/[0-9]*/comm 2>/dev/null; true").split()


def test_a_command_ends_with_who_asked_for_it(lab):
    asked = lab.start("web1", "sleep", "1000")
    wait_until(lambda: "sleep" in programs(lab, "web1"), "the command runs")
    asked.kill()
    asked.wait()
    wait_until(lambda: "sleep" not in programs(lab, "web1"), "the command is gone")


def test_no_command_goes_in_before_a_machine_has_its_own_files(make_lab):
    lab = make_lab(options=("--bare",))
    said = set()
    for _ in range(6):
        lab.kill("web1")
        booting = threading.Thread(target=lab.power_on, args=("web1",))
        booting.start()
        tries = [lab.start("web1", "test", "-e", str(lab.file), stderr=subprocess.PIPE) for _ in range(12)]
        for one in tries:
            one.communicate(timeout=30)
            said.add(one.returncode)
        booting.join()
    assert said == {1}, "0 is this machine's file; who is refused, or sees none, ends with 1"


@pytest.mark.parametrize("how", ["frozen", "stopped at the terminal"])
def test_a_command_that_stands_still_keeps_no_machine(make_lab, how):
    lab = make_lab(options=("--bare",))
    asked = lab.start("web1", "sleep", "1000", process_group=0)
    wait_until(lambda: "sleep" in programs(lab, "web1"), "the command runs")
    if how == "frozen":
        lab.freeze("web1")
    else:
        os.killpg(asked.pid, signal.SIGTSTP)  # Ctrl-Z
        wait_until(lambda: Path("/proc/%d/stat" % asked.pid).read_text().rpartition(")")[2].split()[0] == "T", "a stop")
    lab.kill("web1")
    if how != "frozen":
        os.killpg(asked.pid, signal.SIGCONT)
    assert asked.wait(10) == 128 + signal.SIGKILL
    lab.power_on("web1")
    assert lab.shell("web1", "hostname").strip() == "web1"


def test_names_lead_to_servers_and_the_domain_to_all_of_them(make_lab):
    lab = make_lab(servers=TWO, site={"site": {"name": "shop", "domain": "shop.example"}})
    assert lab.get("http://shop.example/").stdout == "hello\n"
    addresses = set(lab.shell("outside", "getent ahostsv4 shop.example | cut -d' ' -f1").split())
    assert addresses == {"10.0.0.11", "10.0.0.12"}
    assert lab.get("http://web2/", "-H", "Host: shop.example", machine="web1").stdout == "hello\n"


def test_addresses_of_several_networks_are_those_of_the_file(make_lab):
    site = """
[site]
name = "wide"
[web]
files = "public"
[servers]
web1 = { address = "203.0.113.7", roles = ["web"] }
web2 = { address = "198.51.100.9", roles = ["web"] }
"""
    lab = make_lab(site=site)
    assert reaches(lab, "web1", "web2") and reaches(lab, "outside", "web2")
    with Connection(lab.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_response().status == 200
    wait_until(lambda: "198.18.0.1" in lab.shell("web1", "cat /var/log/terrace/access.log", check=False) +
               lab.shell("web2", "cat /var/log/terrace/access.log", check=False), "the visitor's own address is logged")


# ---- faults


def test_power_cut_and_shutdown_keep_the_disk(lab):
    lab.write("web1", "/root/kept", "kept")
    lab.write("web1", "/tmp/lost", "lost")
    for off in (lab.kill, lab.shut_down):
        off("web1")
        assert lab.state("web1") == "off"
        assert lab.get("http://web1/", "--max-time", "1").returncode != 0
        assert "is off" in lab.exec("web1", "true", check=False).stderr
        lab.power_on("web1")
        wait_until(lambda: lab.get("http://web1/").stdout == "hello\n", "it serves again", 20.0)
        assert lab.shell("web1", "cat /root/kept; ls /tmp") == "kept"


def test_a_service_that_ends_is_started_again(lab):
    lab.shell("web1", "kill -9 $(cat /run/terrace/terrace.pid)")
    wait_until(lambda: lab.get("http://web1/").stdout == "hello\n", "it serves again", 20.0)


def test_a_frozen_server_answers_nothing_until_it_is_thawed(lab):
    lab.freeze("web1")
    assert lab.state("web1") == "frozen"
    assert lab.get("http://web1/", "--max-time", "1").returncode == 28
    stopped = wait_until(lambda: states(lab, "web1"), "its processes")
    assert set(stopped) <= {"T", "Z"}, stopped
    lab.thaw("web1")
    assert lab.get("http://web1/").stdout == "hello\n"


def states(lab: Lab, machine: str) -> list[str]:
    """Of every process in the machine, as this machine sees them."""
    init = next(one["pid"] for one in lab.status()["machines"] if one["name"] == machine)
    network = os.readlink("/proc/%d/ns/net" % init)
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(one / "ns/net") == network:
                found.append((one / "stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue
    return found


def test_cuts_have_two_ends_and_sometimes_one_way(make_lab):
    lab = make_lab(servers=TWO, options=("--bare",))
    assert reaches(lab, "web1", "web2")
    lab.cut("web1", "web2")
    assert not reaches(lab, "web1", "web2") and not reaches(lab, "web2", "web1")
    assert reaches(lab, "outside", "web1") and reaches(lab, "outside", "web2")
    assert lab.status()["cuts"] == [{"from": "web1", "to": "web2"}, {"from": "web2", "to": "web1"}]
    lab.heal("web2", "web1")
    assert reaches(lab, "web1", "web2")
    lab.cut("web1", "web2", one_way=True)
    with lab.capture("icmp") as capture:
        assert not reaches(lab, "web2", "web1")
    assert b"\x0a\x00\x00\x0c\x0a\x00\x00\x0b" in capture.bytes  # web2 to web1 passes, its answer does not
    lab.cut("outside", "web1")
    lab.link("web2", "down")
    assert "NO-CARRIER" in lab.shell("web2", "ip link show eth0")
    lab.heal()
    assert reaches(lab, "outside", "web1") and reaches(lab, "web1", "web2")
    assert lab.status()["cuts"] == []


def test_a_cut_outlives_a_power_cut(make_lab):
    lab = make_lab(servers=TWO, options=("--bare",))
    lab.cut("web1", "web2")
    for _ in range(5):
        lab.kill("web2")
        lab.power_on("web2")
        assert reaches(lab, "outside", "web2") and not reaches(lab, "web1", "web2")


def test_what_makes_no_sense_is_refused(lab):
    for words, why in ((["cut", "web1", "web1"], "off itself"), (["cut", "web1", "switch"], "no end of a cable"),
                       (["kill", "outside"], "no machine of the site"), (["start", "web1"], "it is up"),
                       (["thaw", "web1"], "it is up"), (["stop", "web7"], "no machine `web7`"),
                       (["link", "web1", "sideways"], "down|up"), (["heal", "web1"], "[SERVER SERVER]")):
        done = lab.run(*words, check=False)
        assert done.returncode in (1, 2) and why in done.stderr, (words, done.stderr)


@pytest.mark.parametrize("name", ["a" * 69, "../x", "x y"])
def test_a_name_that_down_all_would_not_find_is_refused(make_lab, name):
    lab = make_lab(up=False)
    done = lab.run("up", str(lab.file), "--detach", "--bare", "--lab", name, check=False)
    assert done.returncode == 2 and "at most 68" in done.stderr, done.stderr


def test_a_wrong_clock_is_the_matter_of_one_server(make_lab):
    lab = make_lab(servers=TWO)
    lab.set_clock("web1", "+1d")
    ahead, right = (int(lab.shell(server, "date +%s")) for server in TWO)
    assert 86_000 < ahead - right < 87_000
    lab.set_clock("web1", "")
    assert abs(int(lab.shell("web1", "date +%s")) - time.time()) < 100


# ---- the site


def test_the_loopback_of_this_machine_leads_to_the_site(make_lab):
    lab = make_lab(servers=TWO)
    for off in ("web1", "web2"):
        lab.kill(off)
        for _ in range(4):
            with Connection(lab.port) as connection:
                connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.read_response().body == b"hello\n"
        lab.power_on(off)
        wait_until(lambda: lab.get("http://%s/" % off).stdout == "hello\n", "it serves again", 20.0)


def test_a_browser_on_this_machine_opens_the_site(lab):
    with Browser() as browser:
        browser.open("http://127.0.0.1:%d/" % lab.port)
        assert browser.text().strip() == "hello"


def test_logs_are_followed(lab):
    words = [str(BINARY), "lab", "logs", "--lab", lab.name, "-f"]
    with subprocess.Popen(words, env=lab.environment, stdout=subprocess.PIPE, text=True) as following:
        lab.kill("web1")
        line = next(line for line in following.stdout if "web1 is off" in line)
        following.send_signal(signal.SIGINT)
    assert line.startswith("lab"), line


def test_visitors_do_not_notice_that_one_of_two_servers_is_away(make_lab):
    lab = make_lab(servers=TWO)
    with lab.visitors(rate=50) as visitors:
        visitors.until(50)
        lab.cut("outside", "web1")
        visitors.until(50)
        lab.heal()
        visitors.until(20)
    print(visitors.result)
    assert not visitors.result.failures and min(visitors.result.by_address.values()) > 5


def test_visitors_notice_when_nobody_answers(lab):
    """The negative control: a load that cannot fail shows nothing."""
    with lab.visitors(rate=50, timeout=0.5) as visitors:
        visitors.until(10)
        lab.freeze("web1")
        visitors.stay(1.5)
        lab.thaw("web1")
        visitors.until(10)
    assert visitors.result.failed > 10 and visitors.result.longest_gap > 1.0


def test_a_machine_that_terrace_does_not_run(make_lab):
    beside = """
[machines.files]
address = "10.0.0.31"
setup = "echo from the machine > /srv/a.txt"
run = "cd /srv && exec python3 -m http.server 8000"
ready = "curl -fsS http://127.0.0.1:8000/a.txt"
"""
    lab = make_lab(beside=beside)
    assert lab.get("http://files:8000/a.txt", machine="web1").stdout == "from the machine\n"
    lab.kill("files")
    lab.power_on("files")
    wait_until(lambda: lab.get("http://files:8000/a.txt", machine="web1").stdout == "from the machine\n", "it runs again")
    assert "GET /a.txt" in lab.run("logs", "files").stdout


# ---- this machine, and several labs

UP_SECONDS = 60.0  # that ten servers may take
UP_BYTES = 3 << 30


def test_this_machine_stays_as_it_is(make_lab):
    before = settings()
    lab = make_lab(servers=TWO, up=False)
    host = interfaces()
    lab.up()
    lab.cut("web1", "web2")
    during = settings()
    assert interfaces() == host
    assert {name: value for name, value in during.items() if before.get(name) != value} == {}
    assert not [one for one in Path("/sys/fs/cgroup").rglob("*lab*") if one.is_dir() and lab.name in one.name]


def memory(lab: Lab) -> int:
    """What all processes of a lab hold, shared pages once (proc(5), smaps_rollup)."""
    networks = {os.readlink("/proc/%d/ns/net" % one["pid"]) for one in lab.status()["machines"]}
    total = 0
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(one / "ns/net") in networks:
                total += int(re.search(r"^Pss: +(\d+) kB", (one / "smaps_rollup").read_text(), re.M)[1]) << 10
        except (OSError, TypeError):
            continue
    return total


def test_ten_servers_are_up_in_a_minute(make_lab):
    lab = make_lab(servers={"web%d" % i: ["web"] for i in range(10)}, up=False)
    began = time.monotonic()
    lab.up(seconds=4 * UP_SECONDS)
    seconds, held = time.monotonic() - began, memory(lab)
    print("ten servers: %.1f s, %d MB" % (seconds, held >> 20))
    assert seconds < 3 * UP_SECONDS and held < UP_BYTES


# ---- the end of a lab


def test_two_labs_of_the_same_file_do_not_see_each_other(make_lab):
    one = make_lab()
    name = one.name
    one.up()
    assert (name, one.name) == ("site", "site-2")
    one.write("web1", "/root/who", "the second")
    one.cut("outside", "web1")
    assert one.get("http://web1/", "--max-time", "1").returncode != 0
    one.name = ""
    assert "say which by --lab: site, site-2" in one.run("status", check=False).stderr
    one.name = name
    assert one.get("http://web1/").stdout == "hello\n" and one.shell("web1", "ls /root") == ""
    assert one.status()["url"] != ""


def foreground(lab: Lab) -> subprocess.Popen:
    command = [str(BINARY), "lab", "up", str(lab.file)]
    up = subprocess.Popen(command, env=lab.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in up.stdout:
        if line.startswith("  its end"):
            break
    lab.keepers.add(lab.status()["keeper"])
    return up


def test_ctrl_c_ends_and_removes_a_lab(make_lab):
    lab = make_lab(up=False)
    up = foreground(lab)
    up.send_signal(signal.SIGINT)
    assert up.stdout.read().endswith("gone\n") and up.wait(30) == 0
    assert not lab.processes() and not list((lab.folder / "labs").rglob("*"))


@pytest.mark.parametrize("setup", ["sleep 1000", "exec > /dev/null 2>&1; sleep 1000"])
def test_a_signal_ends_a_lab_in_the_middle_of_a_step(make_lab, setup):
    lab = make_lab(up=False, beside={"machines.db1": {"address": "10.0.0.31", "setup": setup}})
    command = [str(BINARY), "lab", "up", str(lab.file)]
    with subprocess.Popen(command, env=lab.environment, text=True, stdout=subprocess.PIPE) as up:
        try:
            assert any("setup" in line for line in up.stdout)
            up.send_signal(signal.SIGTERM)
            assert up.communicate(timeout=30)[0].endswith("gone\n") and up.returncode == 130
        finally:
            up.kill()
    assert not lab.processes() and not list((lab.folder / "labs").rglob("*"))


def test_a_keeper_that_is_killed_while_it_is_asked_leaves_nothing(make_lab):
    lab = make_lab(options=("--bare",))
    (keeper,) = lab.keepers
    os.kill(keeper, signal.SIGSTOP)
    command = [str(BINARY), "lab", "down", "--all"]
    with subprocess.Popen(command, env=lab.environment, text=True, stdout=subprocess.PIPE) as down:
        wait_until(lambda: asks(down.pid), "its question")
        os.kill(keeper, signal.SIGKILL)
        assert "what it left is removed" in down.communicate(timeout=30)[0] and down.returncode == 0
    assert not list((lab.folder / "labs").rglob("*"))


def asks(pid: int) -> bool:
    """It has a connection, and sleeps until something comes over it."""
    try:
        sockets = [one for one in os.listdir("/proc/%d/fd" % pid)
                   if os.readlink("/proc/%d/fd/%s" % (pid, one)).startswith("socket:")]
        return bool(sockets) and Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()[0] == "S"
    except OSError:
        return False


@pytest.mark.parametrize("who", ["front", "keeper"])
def test_whoever_is_killed_nothing_of_a_lab_runs_on(make_lab, who):
    lab = make_lab(up=False)
    up = foreground(lab)
    (keeper,) = lab.keepers
    os.kill(up.pid if who == "front" else keeper, signal.SIGKILL)
    wait_until(lambda: not lab.processes(), "no process is left", 20.0)
    up.wait(30)
    assert interfaces() == lab.hosts
    lab.run("down", "--all")
    assert not list((lab.folder / "labs").rglob("*"))


def test_a_killed_lab_does_not_hinder_the_next_one(make_lab):
    lab = make_lab()
    lab.write("web1", "/root/old", "old")
    (keeper,) = lab.keepers
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not lab.processes(), "no process is left", 20.0)
    lab.name = ""
    lab.keepers.clear()
    lab.up()
    assert lab.name == "site" and lab.shell("web1", "ls /root") == ""


def test_a_site_that_does_not_come_up_is_shown_and_removed(make_lab):
    site = {"app": {"run": "false", "start_timeout": "2s"}, "db": {"engine": "none"}}
    lab = make_lab(up=False, site=site, servers={"web1": ["web", "app"]})
    done = lab.run("up", str(lab.file), "--detach", check=False, timeout=150.0)
    assert done.returncode == 1 and "console of web1" in done.stderr, done.stderr
    assert not lab.processes() and not list((lab.folder / "labs").rglob("*"))


def test_a_taken_port_is_no_hindrance(make_lab):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab = make_lab(beside={"lab": {"port": port}})
        assert lab.port != port
        with Connection(lab.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.read_response().body == b"hello\n"


def test_who_is_not_root_is_told_so(make_lab):
    lab = make_lab(up=False)
    lab.folder.chmod(0o755)
    program = lab.folder / "terrace"
    program.write_bytes(BINARY.read_bytes())
    program.chmod(0o755)
    done = subprocess.run([str(program), "lab", "up"], user="nobody", cwd="/", capture_output=True, text=True)
    assert done.returncode == 1 and "a lab needs root" in done.stderr and "sudo" in done.stderr


@pytest.mark.parametrize(
    "site, said",
    [
        ("[app]\nrun = 'true'\n", "names no servers"),
        ("[web]\nfiles = 'public'\n[servers]\nweb1 = { address = '2001:db8::1' }\n", "IPv4 addresses only"),
        ("[web]\nfiles = 'public'\n[servers]\noutside = { address = '10.0.0.1' }\n", "`outside` is two machines"),
        ("[web]\nfiles = 'public'\n[servers]\nweb1 = { adress = '10.0.0.1' }\n", "did you mean `address`?"),
    ],
)
def test_files_that_no_lab_can_be_made_of(make_lab, site, said):
    lab = make_lab(up=False, site=site)
    done = lab.run("up", str(lab.file), "--detach", check=False)
    assert done.returncode == 1 and said in done.stderr
