"""What is measured: Terrace, its peers, and floors, each started for one row."""

import dataclasses
import json
import pathlib
import shutil
import time
import urllib.request

import processes


@dataclasses.dataclass
class Setup:
    """What all contenders of a run share."""

    work: pathlib.Path  # a folder for this run
    tools: pathlib.Path  # where backend, floor_static, relay and load lie
    peers: pathlib.Path  # the peers' configurations
    terrace: pathlib.Path  # the binary
    proxy_core: int
    load_core: int

    def backend(self):
        """A copy of the program where every user may run it: Terrace's apps have one of their own."""
        copy = self.work / "backend"
        if not copy.exists():
            shutil.copy(self.tools / "backend", copy)
        return copy


@dataclasses.dataclass
class Job:
    """What the contenders of a row have to do."""

    kind: str  # "static", "proxy", "lb" or "chain"
    path: str
    bytes: int
    unix: bool = False  # the transport to the app
    log: bool = False  # access log on
    apps: tuple = ()  # the endpoints of the backends, for those who do not start their own

    def is_large(self):
        """From about here on sendfile costs less than reading and writing."""
        return self.bytes > 64 << 10


class Contender:
    """A server that runs, listening on `endpoint`."""

    def __init__(self, name, process, endpoint, app_program=None):
        self.name = name
        self.process = process
        self.endpoint = endpoint
        self.app_program = app_program
        self.servers = [self]
        processes.wait_until_listening(endpoint, process)

    def pids(self):
        """Every process that serves; not the app that it runs."""
        return [
            pid
            for pid in processes.family(self.process.pid)
            if not (self.app_program and processes.runs(pid, self.app_program))
        ]

    def stop(self):
        processes.stop(self.process)


def fill(template, values):
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def configure(setup, template, name, values):
    path = setup.work / name
    path.write_text(fill(setup.peers / template, {"WORK": setup.work, "FILES": setup.work / "files", **values}))
    return path


def start_backend(setup, unix=False):
    """The app that peers and floors proxy to, on the core of the load."""
    endpoint = f"unix:{setup.work}/app.sock" if unix else f"127.0.0.1:{processes.free_port()}"
    command = [setup.backend(), "--listen", endpoint]
    process = processes.start(command, setup.load_core, setup.work / "backend.log")
    return Contender("backend", process, endpoint)


def start_relay(setup, to):
    endpoint = f"127.0.0.1:{processes.free_port()}"
    command = [setup.tools / "relay", "--listen", endpoint, "--to", to]
    process = processes.start(command, setup.proxy_core, setup.work / "floor.log")
    return Contender("floor", process, endpoint)


def start_floor(setup, job):
    if job.kind != "static":
        return start_relay(setup, job.apps[0])
    endpoint = f"127.0.0.1:{processes.free_port()}"
    command = [setup.tools / "floor_static", "--listen", endpoint, "--bytes", job.bytes]
    if job.is_large():
        command += ["--file", setup.work / "files" / job.path[1:]]
    process = processes.start(command, setup.proxy_core, setup.work / "floor.log")
    return Contender("floor", process, endpoint)


# The fields of Terrace's own access log.
NGINX_LOG_FORMAT = """log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr",'
    '"method":"$request_method","target":"$request_uri","status":$status,"bytes":$body_bytes_sent,'
    '"duration":$request_time,"agent":"$http_user_agent"}';"""


def start_nginx(setup, job, template=None):
    endpoint = f"127.0.0.1:{processes.free_port()}"
    log = f"{setup.work}/nginx-access.log json buffer=64k flush=1s" if job.log else "off"
    values = {
        "LISTEN": endpoint,
        "SERVERS": "\n".join(f"    server {app} max_fails=0;" for app in job.apps),
        "SENDFILE": "on" if job.is_large() else "off",
        "ACCESS_LOG": log,
        "LOG_FORMAT": NGINX_LOG_FORMAT if job.log else "",
    }
    template = template or ("nginx-static.conf" if job.kind == "static" else "nginx-proxy.conf")
    config = configure(setup, template, "nginx.conf", values)
    command = ["/usr/sbin/nginx", "-c", config, "-e", setup.work / "nginx-error.log"]
    process = processes.start(command, setup.proxy_core, setup.work / "nginx.log")
    return Contender("nginx", process, endpoint)


def haproxy_server(name, app):
    return f"  server {name} {app.replace('unix:', 'unix@')} pool-purge-delay 1h"


def start_haproxy(setup, job):
    endpoint = f"127.0.0.1:{processes.free_port()}"
    values = {
        "LISTEN": endpoint,
        "SERVERS": "\n".join(haproxy_server(f"app{i}", app) for i, app in enumerate(job.apps)),
        "LOG": "log stdout format raw local0" if job.log else "",
        "LOG_OPTIONS": "log global\n  option httplog" if job.log else "",
    }
    config = configure(setup, "haproxy.cfg", "haproxy.cfg", values)
    command = ["/usr/sbin/haproxy", "-db", "-f", config]
    process = processes.start(command, setup.proxy_core, setup.work / "haproxy.log")
    return Contender("HAProxy", process, endpoint)


def start_h2o(setup, job):
    port = processes.free_port()
    log = f"access-log: {setup.work}/h2o-access.log" if job.log else ""
    values = {"HOST": "127.0.0.1", "PORT": port, "ACCESS_LOG": log}
    config = configure(setup, "h2o.conf", "h2o.conf", values)
    process = processes.start(["/usr/bin/h2o", "-c", config], setup.proxy_core, setup.work / "h2o.log")
    return Contender("h2o", process, f"127.0.0.1:{port}")


def site_file(setup, job, port, admin, behind):
    quoted = json.dumps  # a JSON string is a TOML basic string
    lines = ["[site]", f'admin = "127.0.0.1:{admin}"', ""]
    lines += ["[web]", f'listen = ["127.0.0.1:{port}"]', 'idle_timeout = "1h"']
    lines += [f'access_log = "{"json" if job.log else "off"}"']
    if job.kind == "static":
        lines += [f"files = {quoted(str(setup.work / 'files'))}"]
    elif behind:
        lines += ["", behind]
    else:
        # The app would inherit the core of the proxy.
        run = " ".join(processes.pinned(setup.load_core, [setup.backend()]))
        lines += ["", "[app]", f"run = {quoted('exec ' + run)}", "instances = 1"]
        lines += [f'socket = "{"unix" if job.unix else "port"}"', "connections_max = 1024"]
        lines += ["", "[db]", 'engine = "none"']
    return "\n".join(lines) + "\n"


def start_terrace(setup, job, behind=None, more=()):
    """`behind`: tables of the site file that stand for the application; `more`: options of `up`."""
    port = processes.free_port()
    folder = setup.work / "terrace"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "site.toml").write_text(site_file(setup, job, port, processes.free_port(), behind))
    command = [setup.terrace, "up", "--file", folder / "site.toml", *more]
    process = processes.start(command, setup.proxy_core, setup.work / "terrace.log", folder)
    terrace = Contender("Terrace", process, f"127.0.0.1:{port}", setup.backend())
    wait_until_serving(terrace, job)
    return terrace


def wait_until_serving(contender, job, seconds=15):
    """Terrace listens before its app is healthy: waits for the first good answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://{contender.endpoint}{job.path}", timeout=5) as answer:
                answer.read()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                contender.stop()
                raise processes.failure(contender.process, f"does not serve: {error}") from error
            time.sleep(0.05)


STARTS = {
    "floor": start_floor,
    "nginx": start_nginx,
    "HAProxy": start_haproxy,
    "h2o": start_h2o,
    "Terrace": start_terrace,
}
