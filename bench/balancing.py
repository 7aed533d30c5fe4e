"""The contenders of the load balancer's rows: one hop to several backends, and two proxies in a row."""

import json
import random
import shutil
import subprocess
import time

import contenders
import processes

BACKENDS = 3


class Chain:
    """Servers in a row, the first of which the load asks."""

    def __init__(self, name, servers):
        self.name = name
        self.servers = servers
        self.endpoint = servers[0].endpoint

    @property
    def process(self):
        return self.servers[0].process

    def pids(self):
        return [pid for server in self.servers for pid in server.pids()]

    def stop(self):
        for server in self.servers:
            server.stop()


def start_relays(setup, job):
    """The floor of a chain: no request is read, and none is encrypted."""
    web = contenders.start_relay(setup, job.apps[0])
    lb = contenders.start_relay(setup, web.endpoint)
    return Chain("floor", [lb, web])


# ---- HAProxy in front of nginx


def openssl(setup, *words):
    subprocess.run(["openssl", *map(str, words)], cwd=setup.work, check=True, capture_output=True)


def make_certificates(setup):
    """An authority, and what the two proxies show each other, as our servers do."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl(setup, "req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=site")
    for name in ("lb", "web"):
        openssl(setup, "req", *key[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (setup.work / "names").write_text(f"subjectAltName=DNS:{name}\n")
        openssl(setup, "x509", "-req", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
                "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.crt")
        text = "".join((setup.work / f"{name}.{part}").read_text() for part in ("crt", "key"))
        (setup.work / f"{name}.pem").write_text(text)


def start_haproxy_and_nginx(setup, job):
    make_certificates(setup)
    web = contenders.start_nginx(setup, job, "nginx-chain.conf")
    endpoint = f"127.0.0.1:{processes.free_port()}"
    values = {"LISTEN": endpoint, "WEB": web.endpoint}
    config = contenders.configure(setup, "haproxy-chain.cfg", "haproxy-chain.cfg", values)
    command = ["/usr/sbin/haproxy", "-db", "-f", config]
    process = processes.start(command, setup.proxy_core, setup.work / "haproxy-chain.log")
    return Chain("HAProxy > nginx", [contenders.Contender("HAProxy", process, endpoint), web])


# ---- Terrace


def balancer_text(job):
    """A load balancer in front of servers that it does not run."""
    lines = ["[lb.backends]"]
    lines += [f'app{i} = {{ address = "{endpoint}" }}' for i, endpoint in enumerate(job.apps)]
    return "\n".join([*lines, "", "[servers]", 'lb1 = { address = "127.0.0.1", roles = ["lb"] }', ""])


def start_terrace_before_backends(setup, job):
    return contenders.start_terrace(setup, job, balancer_text(job), ["--server", "lb1"])


def chain_text(setup, addresses):
    # The app would inherit the core of the proxy.
    run = "exec " + " ".join(processes.pinned(setup.load_core, [setup.backend()]))
    return "\n".join([
        "[site]", 'admin = "${env:ADMIN}"',
        "[app]", f"run = {json.dumps(run)}", "instances = 1", 'socket = "port"', "connections_max = 1024",
        "[web]", 'listen = ["${env:LISTEN}"]', 'idle_timeout = "1h"', 'access_log = "off"',
        "[db]", 'engine = "none"',
        "[cluster]", f"port = {processes.free_port()}",
        "[lb]", f"port = {processes.free_port()}",
        "[servers]",
        f'lb1 = {{ address = "{addresses["lb1"]}", roles = ["lb"] }}',
        f'web1 = {{ address = "{addresses["web1"]}", roles = ["web", "app"] }}', "",
    ])


class TerraceServer:
    """One of the servers of a site: a folder, an environment, and an address of its own."""

    def __init__(self, setup, name):
        self.setup = setup
        self.name = name
        self.folder = setup.work / f"terrace-{name}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.endpoint = f"127.0.0.1:{processes.free_port()}"
        self.environment = {
            "TERRACE_FOLDER": str(self.folder / "terrace"),
            "LISTEN": self.endpoint,
            "ADMIN": f"127.0.0.1:{processes.free_port()}",
        }
        self.process = None

    def start(self, *more):
        command = [self.setup.terrace, "up", "--file", self.folder / "site.toml", *more]
        log = self.folder / "terrace.log"
        self.process = processes.start(command, self.setup.proxy_core, log, self.folder, self.environment)

    def command(self, *words):
        command = [self.setup.terrace, words[0], "--file", self.folder / "site.toml", *words[1:]]
        done = processes.run(command, self.environment, self.folder)
        if done.returncode != 0:
            raise RuntimeError(f"terrace {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def wait_until_member(self, seconds=20):
        deadline = time.monotonic() + seconds
        while "listening for the other servers" not in self.process.log.read_text(errors="replace"):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise processes.failure(self.process, "is no member of its site")
            time.sleep(0.05)

    def pids(self):
        program = self.setup.backend()
        return [pid for pid in processes.family(self.process.pid) if not processes.runs(pid, program)]

    def stop(self):
        if self.process is not None:
            processes.stop(self.process)


def start_terraces(setup, job):
    network = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}"
    lb, web = (TerraceServer(setup, name) for name in ("lb1", "web1"))
    chain = Chain("Terrace", [lb, web])
    try:
        addresses = {"lb1": f"{network}.1", "web1": f"{network}.2"}
        (lb.folder / "site.toml").write_text(chain_text(setup, addresses))
        lb.start("--server", "lb1")
        lb.wait_until_member()
        token = json.loads(lb.command("token", "web1", "--json"))
        web.command("join", token["address"], "--token", token["token"], "--json")
        web.start()
        web.wait_until_member()
        contenders.wait_until_serving(chain, job)
    except BaseException:
        chain.stop()
        raise
    return chain


# What starts a contender of these rows; the others are in contenders.STARTS.
STARTS = {
    "lb": {"Terrace": start_terrace_before_backends},
    "chain": {"floor": start_relays, "HAProxy > nginx": start_haproxy_and_nginx, "Terrace": start_terraces},
}
