"""What somebody sees who listens on the network between the servers: nothing that is said there."""

import subprocess

import pytest
from harness import wait_until
from lab import Lab, why_not

pytestmark = [pytest.mark.machine, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

APP = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
SITE = {"app": {"run": "/usr/bin/python3 app.py", "instances": 1, "bake": "0s", "env": {"TOKEN": "${secret:TOKEN}"}},
        "db": {"engine": "none"}}
# Of the release, of a secret, of the site file, of the protocols, and of the lines of logs.
SECRETS = [b"planted-in-the-release", b"planted-as-a-secret", b"[servers]", b'"command"', b"terrace1.", b"PRIVATE KEY",
           b"/v3/kv", b"site.toml", b'"shared_version"', b"info member"]


def holds_etcd(lab: Lab) -> bool:
    log = "grep -l 'etcd holds the shared state' /var/log/terrace/terrace.log"
    return lab.exec("web1", "sh", "-c", log, check=False).returncode == 0


@pytest.fixture
def three(make_lab) -> Lab:
    lab = make_lab(site=SITE, servers={name: ["web", "app"] for name in ("web1", "web2", "web3")},
                   files={"app.py": APP, "public/planted.txt": "planted-in-the-release " * 500},
                   beside={"lab": {"secrets": {"TOKEN": "first"}}})
    wait_until(lambda: holds_etcd(lab), "etcd holds what the servers share", 60.0, 0.2)
    return lab


def test_nothing_between_servers_is_readable(three):
    """Control, secrets, releases, logs and etcd; what visitors ask is on port 80 and no matter of this test."""
    with three.capture("not port 80 and not arp") as capture:
        three.terrace("web1", "secret", "set", "TOKEN", input="planted-as-a-secret")
        with open(three.folder / "site.tar", "wb") as archive:
            pack(three, archive)
        with open(three.folder / "site.tar", "rb") as archive:
            three.terrace("web2", "deploy", "-", stdin=archive, text=False, timeout=180.0)
        three.terrace("web3", "status")
        three.terrace("web2", "logs", "--terrace", "--lines", "50")
        three.terrace("web1", "drain", "web2")
        three.terrace("web3", "undrain", "web2")
        three.terrace("web1", "certificates", "rotate")
    assert len(capture.bytes) > 50_000
    for port in (7400, 7401):  # of control, and of etcd's voters among themselves
        packets = three.shell("switch", "tcpdump -nr /tmp/capture.pcap port %d 2>/dev/null | wc -l" % port)
        assert int(packets) > 20, (port, packets)
    # It went over the bridge: the other servers have it.
    for server in ("web2", "web3"):
        assert three.exec(server, "cat", "/var/lib/terrace/secrets/TOKEN").stdout == "planted-as-a-secret"
    assert [secret for secret in SECRETS if secret in capture.bytes] == []


def pack(lab: Lab, archive):
    subprocess.run(["tar", "-C", str(lab.project), "-cf", "-", "."], stdout=archive, check=True)


def test_what_is_readable_is_seen(three):
    """The negative control: a capture that shows nothing at all proves nothing."""
    with three.capture("port 80") as capture:
        assert three.get("http://web1/planted.txt").returncode == 0
    assert b"planted-in-the-release" in capture.bytes
