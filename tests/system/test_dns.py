"""`terrace dns`: the records of a site, and what a name server says of them. The server is scripted."""

import contextlib
import json
import subprocess

import pytest
from dnslib import AAAA, CAA, CLASS, CNAME, QTYPE, RCODE, RR, A
from dnslib.server import BaseResolver, DNSServer

from harness import BINARY, free_port

SITE = """
[site]
name = "shop"
domain = "shop.example.com"

[web]
files = "public"

[servers]
web1 = { address = "203.0.113.7" }
"""
KINDS = {"A": A, "AAAA": AAAA, "CNAME": CNAME}


class Script(BaseResolver):
    """Answers from `zone`: name to a list of (type, value); or to an RCODE, "silent" or "truncated"."""

    def __init__(self, zone: dict, follow: bool = True):
        self.zone, self.follow, self.asked = zone, follow, []

    def resolve(self, request, handler):
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        self.asked.append((handler.protocol, name, kind))
        reply = request.reply()
        entry = self.zone.get(name)
        if isinstance(entry, dict):
            entry = entry.get(kind, [])
        if entry == "truncated":
            reply.header.tc = handler.protocol == "udp"
            entry = [] if handler.protocol == "udp" else [("A", "203.0.113.7")]
        if entry == "silent":
            raise ConnectionAbortedError("no answer")
        if entry is None:
            reply.header.rcode = RCODE.NXDOMAIN
        elif isinstance(entry, str):
            reply.header.rcode = getattr(RCODE, entry)
        else:
            self.add(reply, name, kind, entry)
        return reply

    def add(self, reply, name: str, kind: str, entry: list):
        for each, value in entry:
            if each not in (kind, "CNAME"):
                continue
            data = CAA(0, value.split()[0], value.split('"')[1]) if each == "CAA" else KINDS[each](value)
            reply.add_answer(RR(name, getattr(QTYPE, each), CLASS.IN, 60, data))
            if each == "CNAME" and self.follow and isinstance(self.zone.get(value), list):
                self.add(reply, value, kind, self.zone[value])


class Quiet:
    """A DNSServer logs to standard output otherwise; and what it should not answer it does not."""

    def __getattr__(self, name):
        return lambda *words: None


@pytest.fixture
def name_server():
    """name_server(zone) to the address of a server that answers so, over UDP and TCP."""
    with contextlib.ExitStack() as stack:

        def start(zone: dict, **options) -> Script:
            script = Script(zone, **options)
            servers = []
            while not servers:  # the port of the one may be taken for the other
                port = free_port()
                with contextlib.suppress(OSError):
                    servers = [DNSServer(script, "127.0.0.1", port, tcp=tcp, logger=Quiet()) for tcp in (True, False)]
            for server in servers:
                server.server.handle_error = lambda *words: None
                server.start_thread()
                stack.callback(server.server.server_close)
                stack.callback(server.stop)
            script.address = "127.0.0.1:%d" % servers[0].server.server_address[1]
            return script

        yield start


@pytest.fixture
def dns(tmp_path):
    """dns(*words, site=…): `terrace dns` on that site."""

    def run(*words: str, site: str = SITE) -> subprocess.CompletedProcess:
        (tmp_path / "public").mkdir(exist_ok=True)
        (tmp_path / "site.toml").write_text(site)
        return subprocess.run([str(BINARY), "dns", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return run


def checked(dns, server: Script, **arguments) -> tuple[int, dict]:
    """The exit status, and the records by name and type."""
    done = dns("--check", "--resolver", server.address, "--json", **arguments)
    answer = json.loads(done.stdout)
    assert answer["ok"] == (done.returncode == 0)
    return done.returncode, {(each["name"], each["type"]): each for each in answer["records"]}


RIGHT = {
    "shop.example.com": [("A", "203.0.113.7"), ("CAA", 'issue "letsencrypt.org"')],
    "www.shop.example.com": [("CNAME", "shop.example.com")],
    "example.com": [],
}
DOMAIN, WWW = "shop.example.com", "www.shop.example.com"


def test_the_records_are_printed_as_a_table_and_as_json(dns):
    done = dns()
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["NAME", "TYPE", "VALUE"]
    assert lines[1] == [DOMAIN, "A", "203.0.113.7"]
    assert lines[2] == [WWW, "CNAME", DOMAIN]
    assert lines[3][:5] == [DOMAIN, "CAA", "0", "issue", '"letsencrypt.org"']
    answer = json.loads(dns("--json").stdout)
    assert answer["ok"] and answer["warnings"] == []
    assert [each["type"] for each in answer["records"]] == ["A", "CNAME", "CAA"]


def test_behind_load_balancers_the_records_lead_to_them_alone(dns):
    two = 'lb1 = { address = "203.0.113.8", roles = ["lb"] }\nlb2 = { address = "203.0.113.9", roles = ["lb"] }\n'
    answer = json.loads(dns("--json", site=SITE + two).stdout)
    assert next(each for each in answer["records"] if each["type"] == "A")["values"] == ["203.0.113.8", "203.0.113.9"]


@pytest.mark.parametrize("address, said", [("10.0.0.5", "private"), ("127.0.0.1", "loopback"), ("fd00::5", "private")])
def test_an_address_that_nobody_reaches_is_said_to_be_one(dns, address, said):
    done = dns(site=SITE.replace("203.0.113.7", address))
    assert done.returncode == 1
    assert said in done.stderr and "the world cannot reach it" in done.stderr
    assert address not in done.stdout


def test_a_site_without_a_domain_is_told_to_have_one(dns):
    done = dns(site='[web]\nfiles = "public"\n')
    assert done.returncode == 1 and "domain = " in done.stderr
    assert json.loads(dns("--json", site='[web]\nfiles = "public"\n').stdout)["ok"] is False


def test_a_missing_secret_of_the_application_is_no_obstacle(dns):
    done = dns(site=SITE + '[app]\nrun = "x"\nenv = { KEY = "${secret:NOT_THERE}" }\n')
    assert done.returncode == 0, done.stderr


def test_all_right_is_zero(dns, name_server):
    status, records = checked(dns, name_server(RIGHT))
    assert status == 0
    assert {each["state"] for each in records.values()} == {"seen"}


def test_a_name_that_does_not_exist_is_missing(dns, name_server):
    status, records = checked(dns, name_server({}))
    assert status == 1
    assert {each["state"] for each in records.values()} == {"missing"}
    assert "no such name" in records[DOMAIN, "A"]["note"]


def test_what_points_elsewhere_is_shown_with_where(dns, name_server):
    zone = {**RIGHT, DOMAIN: [("A", "198.51.100.1"), ("AAAA", "2001:db8::99")], WWW: [("CNAME", "parking.example.net")]}
    server = name_server(zone)
    status, records = checked(dns, server)
    assert status == 1
    assert (records[DOMAIN, "A"]["state"], records[DOMAIN, "A"]["found"]) == ("elsewhere", ["198.51.100.1"])
    assert (records[DOMAIN, "AAAA"]["state"], records[DOMAIN, "AAAA"]["found"]) == ("left over", ["2001:db8::99"])
    assert (records[WWW, "CNAME"]["state"], records[WWW, "CNAME"]["found"]) == ("elsewhere", ["parking.example.net"])
    shown = dns("--check", "--resolver", server.address)
    assert shown.returncode == 1
    for said in ("198.51.100.1", "left over", "2001:db8::99", "remove it", "parking.example.net"):
        assert said in shown.stdout


@pytest.mark.parametrize("follow", [True, False])
def test_a_chain_of_aliases_is_followed(dns, name_server, follow):
    zone = {
        **RIGHT,
        DOMAIN: [("CNAME", "a.example.net")],
        "a.example.net": [("CNAME", "b.example.net")],
        "b.example.net": [("A", "203.0.113.7")],
    }
    status, records = checked(dns, name_server(zone, follow=follow))
    assert (status, records[DOMAIN, "A"]["state"]) == (0, "seen")
    assert "a.example.net, b.example.net" in records[DOMAIN, "A"]["note"]


@pytest.mark.parametrize("follow", [True, False])
def test_aliases_in_a_circle_come_to_an_end(dns, name_server, follow):
    zone = {**RIGHT, DOMAIN: [("CNAME", "a.example.net")], "a.example.net": [("CNAME", "b.example.net")],
            "b.example.net": [("CNAME", DOMAIN)]}
    if follow:  # a server would follow them for ever, too
        zone["b.example.net"] = {"A": [("CNAME", DOMAIN)], "AAAA": [("CNAME", DOMAIN)]}
    status, records = checked(dns, name_server(zone, follow=follow))
    assert status != 0 and records[DOMAIN, "A"]["state"] != "seen"


def test_a_truncated_answer_is_asked_for_again_over_tcp(dns, name_server):
    server = name_server({**RIGHT, DOMAIN: {"A": "truncated", "AAAA": [], "CAA": []}})
    status, records = checked(dns, server)
    assert (status, records[DOMAIN, "A"]["state"]) == (0, "seen")
    assert ("tcp", DOMAIN, "A") in server.asked


@pytest.mark.parametrize("wrong, said", [("SERVFAIL", "SERVFAIL"), ("REFUSED", "REFUSED"), ("silent", "in time")])
def test_a_server_that_does_not_say_is_two(dns, name_server, wrong, said):
    status, records = checked(dns, name_server({**RIGHT, DOMAIN: {"A": wrong, "AAAA": [], "CAA": []}}))
    assert (status, records[DOMAIN, "A"]["state"]) == (2, "unknown")
    assert said in records[DOMAIN, "A"]["note"]


def test_an_alias_behind_which_nobody_says_anything_is_two(dns, name_server):
    zone = {**RIGHT, DOMAIN: [("CNAME", "a.example.net")], "a.example.net": {"A": "SERVFAIL", "AAAA": []}}
    status, records = checked(dns, name_server(zone, follow=False))
    assert (status, records[DOMAIN, "A"]["state"]) == (2, "unknown")


def test_a_port_where_nobody_listens_is_two(dns):
    status, records = checked(dns, type("Nobody", (), {"address": "127.0.0.1:%d" % free_port()}))
    assert status == 2 and {each["state"] for each in records.values()} == {"unknown"}


@pytest.mark.parametrize("resolver", ["ns.example.com", "1.2.3.4:x", "[::1"])
def test_a_resolver_that_is_no_address_is_two(dns, resolver):
    done = dns("--check", "--resolver", resolver)
    assert done.returncode == 2 and "--resolver" in done.stderr


def test_caa_of_another_authority_above_the_name_forbids_the_certificate(dns, name_server):
    zone = {**RIGHT, DOMAIN: [("A", "203.0.113.7")], "example.com": [("CAA", 'issue "other.example"')]}
    status, records = checked(dns, name_server(zone))
    assert (status, records[DOMAIN, "CAA"]["state"]) == (1, "elsewhere")
    assert "forbid" in records[DOMAIN, "CAA"]["note"]


def test_caa_may_be_missing(dns, name_server):
    status, records = checked(dns, name_server({**RIGHT, DOMAIN: [("A", "203.0.113.7")]}))
    assert (status, records[DOMAIN, "CAA"]["state"]) == (0, "missing")


def test_without_www_nobody_asks_for_it(dns, name_server):
    server = name_server({DOMAIN: [("A", "203.0.113.7")], "example.com": []})
    status, records = checked(dns, server, site=SITE.replace('name = "shop"', 'name = "shop"\nwww = "off"'))
    assert status == 0 and (WWW, "CNAME") not in records
    assert not [each for each in server.asked if each[1] == WWW]


def test_both_families_are_checked(dns, name_server):
    site = SITE.replace("203.0.113.7", "2001:db8::7")
    status, records = checked(dns, name_server({**RIGHT, DOMAIN: [("AAAA", "2001:db8::7")]}), site=site)
    assert (status, records[DOMAIN, "AAAA"]["state"]) == (0, "seen")
    status, records = checked(dns, name_server(RIGHT), site=site)
    assert status == 1
    assert (records[DOMAIN, "AAAA"]["state"], records[DOMAIN, "A"]["state"]) == ("missing", "left over")
