"""The load scenarios, side by side with peers in one run: `make bench`.

Every server gets the same load from the same program (`bench/load`) on the same machine, one after the other, in
several rounds. What is compared is the server's own CPU time for each acknowledged message, read from the kernel's
accounting, so that the load generator's share of the machine does not count. Results go to `bench/RESULTS.md`.

Peers: mosquitto from Debian's package; rumqttd from crates.io. Neither makes a message durable before it acknowledges;
Tidegate does. And it goes on where a broker ends: its telemetry reader takes every message apart and stores it for queries. That
work has threads of its own, so both numbers are given: accepting (what the peers do) and everything.
"""

import argparse
import base64
import concurrent.futures
import contextlib
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import platform
import shutil
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "dist"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tidegate"
TICKS = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 200
# Connections made one after the other in each round.
CONNECTS = 4000
# Clients that send all the time, and those that come and go beside them.
STAYING = 50
COMING = 2_000
FLEET_DEVICES = (1_000, 100_000)
# Who calls direct methods at the same time, each of a device of its own, and how often.
METHOD_CALLERS = (1, 8)
METHOD_CALLS = 500
MESSAGE_BYTES = 150
IDLE_WARM_UP = 50
IDLE_CONNECTIONS = 1000
# The threads of whatever reads the log.
READER_THREAD = "readers"
START_SECS_MAX = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def thread_cpu_seconds(pid: int, name: str) -> float:
    """CPU time of the threads of that name."""
    total = 0.0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if (task / "comm").read_text().strip() == name:
                # Nanoseconds on the processor: finer than the ticks of `stat`.
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total


def open_files(pid: int) -> int:
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def pss_kib(pid: int) -> int:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def wait_for(condition, what: str):
    deadline = time.monotonic() + START_SECS_MAX
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            if result := condition():
                return result
        time.sleep(0.05)
    raise SystemExit(f"bench: waited {START_SECS_MAX} s for {what}")


def listening(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


@contextlib.contextmanager
def running(command: list, log: pathlib.Path, **options):
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


class Server:
    """A started server: where it listens, what to trust, and who may connect."""

    def __init__(self, name: str, port: int, ca: pathlib.Path, pid: int, clients: str, settle=lambda: None):
        self.name, self.port, self.ca, self.pid = name, port, ca, pid
        self.clients = clients
        # Waits until the work behind what was acknowledged is done as well.
        self.settle = settle


def plain_clients(count: int) -> str:
    return "".join(f"bench-{i}\t\t\tdevices/bench-{i}/messages/events/\n" for i in range(count))


# --- the servers ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mosquitto(folder: pathlib.Path, tls: dict, count: int):
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {tls['cert']}\nkeyfile {tls['key']}\n"
        "user root\nmax_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"
    )
    with running([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", config], folder / "mosquitto.log") as process:
        wait_for(lambda: listening(port), "mosquitto")
        yield Server("mosquitto", port, tls["ca"], process.pid, plain_clients(count))


@contextlib.contextmanager
def rumqttd(folder: pathlib.Path, tls: dict, count: int):
    port = free_port()
    config = folder / "rumqttd.toml"
    config.write_text(
        f"""id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
[v4.1.tls]
certpath = "{tls['cert']}"
keypath = "{tls['key']}"
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 200
"""
    )
    with running([CACHE / "tools/bin/rumqttd", "-c", config], folder / "rumqttd.log") as process:
        wait_for(lambda: listening(port), "rumqttd")
        yield Server("rumqttd", port, tls["ca"], process.pid, plain_clients(count))


class Rest:
    def __init__(self, data: pathlib.Path):
        endpoints = json.loads((data / "endpoints.json").read_text())
        self.mqtts = int(endpoints["mqtts"].rsplit(":", 1)[1])
        self.https = int(endpoints["https"].rsplit(":", 1)[1])
        self.token = (data / "admin.token").read_text().strip()
        self.tls = ssl.create_default_context(cafile=str(data / "ca.pem"))

    def call(self, method: str, path: str, body=None):
        request = urllib.request.Request(
            f"https://localhost:{self.https}/api{path}?api-version=2022-10-31-preview",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self.token, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def gauge(self, name: str) -> int:
        with urllib.request.urlopen(f"https://localhost:{self.https}/metrics", context=self.tls, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next(int(float(line.split()[1])) for line in lines if line.startswith(name + " "))


def sas_token(audience: str, key: str) -> str:
    expiry = str(int(time.time()) + 3600)
    resource = urllib.parse.quote(audience, safe="")
    signed = hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(base64.b64encode(signed), safe='')}&se={expiry}"


def serve_command(data: pathlib.Path) -> list:
    return [TARGET / "tidegate", "serve", "--data", data, "--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"]


@contextlib.contextmanager
def central(folder: pathlib.Path):
    data = folder / "central"
    with running(serve_command(data), folder / "central.log") as process:
        wait_for(lambda: (data / "endpoints.json").exists() and Rest(data).call("GET", "/devices"), "Tidegate Central")
        yield process, data, Rest(data)


def device_line(rest: Rest, device: str) -> str:
    rest.call("PUT", f"/devices/{device}", {"displayName": device})
    key = rest.call("GET", f"/devices/{device}/credentials")["symmetricKey"]["primaryKey"]
    user = f"localhost/{device}/?api-version=2021-04-12"
    topic = f"devices/{device}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
    return f"{device}\t{user}\t{sas_token(f'localhost/devices/{device}', key)}\t{topic}\n"


@contextlib.contextmanager
def tidegate(folder: pathlib.Path, _tls: dict, count: int):
    with central(folder) as (process, data, rest):
        clients = "".join(device_line(rest, f"bench-{i}") for i in range(count))

        def settle():
            wait_for(lambda: rest.gauge('tidegate_reader_lag{reader="telemetry"}') == 0, "the telemetry reader")

        yield Server("tidegate", rest.mqtts, data / "ca.pem", process.pid, clients, settle)


SERVERS = {"mosquitto": mosquitto, "rumqttd": rumqttd, "tidegate": tidegate}


# --- scenarios --------------------------------------------------------------------------------------------------------


def load_command(server: Server, clients: pathlib.Path, window: int, seconds: float, rate: int) -> list[str]:
    command = [
        TARGET / "mqtt-load", "--address", f"127.0.0.1:{server.port}", "--ca", server.ca, "--clients", clients,
        "--window", window, "--seconds", seconds, "--size", MESSAGE_BYTES, "--rate", rate,
    ]  # fmt: skip
    return [str(part) for part in command]


def load(server: Server, folder: pathlib.Path, window: int, seconds: float, rate: int = 0) -> dict:
    clients = folder / "clients.tsv"
    clients.write_text(server.clients)
    before, reader_before = cpu_seconds(server.pid), thread_cpu_seconds(server.pid, READER_THREAD)
    command = load_command(server, clients, window, seconds, rate)
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    # Connecting is part of the CPU time: the same number of handshakes for every server.
    reader = thread_cpu_seconds(server.pid, READER_THREAD) - reader_before
    messages = max(result["messages"], 1)
    result["cpu_us"] = (cpu_seconds(server.pid) - before - reader) / messages * 1e6
    server.settle()
    result["whole_cpu_us"] = (cpu_seconds(server.pid) - before) / messages * 1e6
    return result


def ingest(tls: dict, rounds: int, seconds: float, servers: list[str]) -> list[dict]:
    rows = []
    for window in (20, 1):
        samples: dict[str, list[dict]] = {}
        for _ in range(rounds):
            for name in servers:
                with tempfile.TemporaryDirectory() as name_folder:
                    folder = pathlib.Path(name_folder)
                    with SERVERS[name](folder, tls, CONNECTIONS) as server:
                        samples.setdefault(name, []).append(load(server, folder, window, seconds))
        for name, results in samples.items():
            rows.append({"window": window, "name": name} | medians(results))
            print(f"window {window:3} {name:10} {rows[-1]}", file=sys.stderr)
    return rows


def connects(tls: dict, rounds: int, servers: list[str]) -> list[dict]:
    """Processor time of the server for one connection: made, let in, ended."""
    rows = []
    for resume in (False, True):
        samples: dict[str, list[dict]] = {}
        for _ in range(rounds):
            for name in servers:
                with tempfile.TemporaryDirectory() as name_folder:
                    folder = pathlib.Path(name_folder)
                    with SERVERS[name](folder, tls, CONNECTIONS) as server:
                        clients = folder / "clients.tsv"
                        clients.write_text(server.clients)
                        command = load_command(server, clients, 1, 1, 0) + ["--connects", str(CONNECTS)]
                        before = cpu_seconds(server.pid)
                        result = json.loads(subprocess.check_output(command + ["--resume"] * resume, text=True))
                        result["cpu_us"] = (cpu_seconds(server.pid) - before) / result["connects"] * 1e6
                        samples.setdefault(name, []).append(result)
        for name, results in samples.items():
            middle = {key: statistics.median(r[key] for r in results) for key in ("cpu_us", "resumed", "connects")}
            rows.append({"resume": resume, "name": name} | middle)
            print(f"connect {rows[-1]}", file=sys.stderr)
    return rows


def storm(tls: dict, rounds: int, servers: list[str]) -> list[dict]:
    """What a few clients that stay feel while many others come and go: the time to their acknowledgement, without and with them."""
    samples: dict[str, list[dict]] = {}
    for _ in range(rounds):
        for name in servers:
            with tempfile.TemporaryDirectory() as name_folder:
                folder = pathlib.Path(name_folder)
                with SERVERS[name](folder, tls, STAYING + COMING) as server:
                    lines = server.clients.splitlines(keepends=True)
                    staying, coming = folder / "staying.tsv", folder / "coming.tsv"
                    staying.write_text("".join(lines[:STAYING]))
                    coming.write_text("".join(lines[STAYING:]))
                    stay = load_command(server, staying, 1, 8, STAYING * 20)
                    calm = json.loads(subprocess.check_output(stay, text=True))
                    come = load_command(server, coming, 1, 1, 0) + ["--connects", str(COMING * 3), "--at-once", str(COMING)]
                    others = subprocess.Popen(come, stdout=subprocess.PIPE, text=True)
                    busy = json.loads(subprocess.check_output(stay, text=True))
                    came = json.loads(others.communicate()[0])
                    result = {"calm_us": calm["p99_us"], "busy_us": busy["p99_us"], "per_second": came["connects"] / came["seconds"]}
                    samples.setdefault(name, []).append(result)
                    print(f"storm {name} {result}", file=sys.stderr)
    keys = ("calm_us", "busy_us", "per_second")
    return [{"name": name} | {key: statistics.median(r[key] for r in results) for key in keys} for name, results in samples.items()]


def storm_table(rows: list[dict]) -> list[str]:
    lines = ["| Server | p99 ms alone | p99 ms meanwhile | grows by | others let in a second |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        growth = row["busy_us"] / row["calm_us"]
        lines.append(
            f"| {row['name']} | {row['calm_us'] / 1000:.1f} | {row['busy_us'] / 1000:.1f} | {growth:.1f} | {row['per_second']:,.0f} |"
        )
    return lines


def medians(results: list[dict]) -> dict:
    keys = ("cpu_us", "whole_cpu_us", "messages_per_second", "p50_us", "p99_us")
    return {key: statistics.median(r[key] for r in results) for key in keys}


def idle_connection_kib(tls: dict, servers: list[str]) -> list[tuple[str, float]]:
    """What one more idle connection adds, after a few others have warmed up what is not per connection."""
    rows = []
    for name in servers:
        with tempfile.TemporaryDirectory() as name_folder:
            folder = pathlib.Path(name_folder)
            with SERVERS[name](folder, tls, IDLE_WARM_UP + IDLE_CONNECTIONS) as server:
                lines = server.clients.splitlines(keepends=True)
                with connected(server, folder / "first.tsv", lines[:IDLE_WARM_UP]):
                    before = pss_kib(server.pid)
                    with connected(server, folder / "others.tsv", lines[IDLE_WARM_UP:]):
                        rows.append((name, (pss_kib(server.pid) - before) / IDLE_CONNECTIONS))
            print(f"idle {rows[-1]}", file=sys.stderr)
    return rows


@contextlib.contextmanager
def connected(server: Server, clients: pathlib.Path, lines: list[str]):
    """Connections that send nothing."""
    clients.write_text("".join(lines))
    wanted = open_files(server.pid) + len(lines)
    process = subprocess.Popen(load_command(server, clients, 1, 120, rate=1), stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: open_files(server.pid) >= wanted, "idle connections")
        time.sleep(3)
        yield
    finally:
        process.kill()
        process.wait()


FLEET_TEMPLATE = {
    "@type": ["ModelDefinition", "DeviceModel"],
    "displayName": "Pump",
    "capabilityModel": {
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "@id": "dtmi:bench:pump;1",
        "@type": "Interface",
        "displayName": "Pump",
        "contents": [{"@type": "Telemetry", "name": "flow", "schema": "double"}],
    },
}
FLEET_REQUESTS = {
    "a page of the list": ("GET", "/api/ext/v1/devices?pageSize=100", None),
    "the connected (none)": ("GET", "/api/ext/v1/devices?pageSize=100&filter=connected", None),
    "those never heard of (all)": ("GET", "/api/ext/v1/devices?pageSize=100&filter=never", None),
    "a search (none found)": ("GET", "/api/ext/v1/devices?pageSize=100&search=zzzz", None),
    "a gateway's head": ("GET", "/api/ext/v1/devices/pump-0", None),
    "a query that names a device": (
        "POST", "/api/query?api-version=2022-10-31-preview",
        {"query": "SELECT TOP 1 flow FROM dtmi:bench:template;1 WHERE $id = 'pump-1'"},
    ),
}  # fmt: skip


def multiply(registry: pathlib.Path, count: int):
    """As many devices as that, each like the first but for its id and its names; every tenth behind it as a gateway."""
    with contextlib.closing(sqlite3.connect(registry)) as database, database:
        names = [row[1] for row in database.execute("PRAGMA table_info(devices)")]
        own = {"id": "'pump-' || n", "display_name": "'Pump ' || (n * 7919 % 1000003)", "generation_id": "'g' || n",
               "gateway": "CASE WHEN n % 1000 = 0 THEN 'pump-0' END",
               "gateway_relationship": "CASE WHEN n % 1000 = 0 THEN 'r' || n END"}  # fmt: skip
        database.execute(
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count - 1}) "
            f"INSERT INTO devices ({', '.join(names)}) SELECT {', '.join(own.get(name, name) for name in names)} "
            "FROM devices, numbers WHERE id = 'pump-0'"
        )


def fleet(rounds: int) -> list[dict]:
    """How long what the console asks for takes, in a small and in a large fleet."""
    rows = []
    for count in FLEET_DEVICES:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            with central(folder) as (process, data, rest):
                rest.call("PUT", "/deviceTemplates/dtmi:bench:template;1", FLEET_TEMPLATE)
                rest.call("PUT", "/devices/pump-0", {"displayName": "Pump", "template": "dtmi:bench:template;1"})
            multiply(data / "registry.db", count)
            with central(folder) as (process, data, rest):
                connection = http.client.HTTPSConnection("localhost", rest.https, context=rest.tls)
                for what, (method, path, body) in FLEET_REQUESTS.items():
                    headers = {"Authorization": rest.token, "Content-Type": "application/json"}
                    times, before = [], cpu_seconds(process.pid)
                    for _ in range(20 * rounds):
                        started = time.monotonic()
                        connection.request(method, path, None if body is None else json.dumps(body), headers)
                        answer = connection.getresponse()
                        text = answer.read()
                        times.append(time.monotonic() - started)
                        if answer.status != 200:
                            raise SystemExit(f"bench: {what}: {answer.status} {text[:300]!r}")
                    cpu = (cpu_seconds(process.pid) - before) / len(times)
                    rows.append({"devices": count, "what": what, "ms": statistics.median(times) * 1e3, "cpu_ms": cpu * 1e3})
                    print(f"fleet {rows[-1]}", file=sys.stderr)
    return rows


def fleet_table(rows: list[dict]) -> list[str]:
    small, large = FLEET_DEVICES
    lines = [f"| What | ms at {small:,} | ms at {large:,} | CPU ms at {large:,} | grows by |", "| --- | --- | --- | --- | --- |"]
    for what in FLEET_REQUESTS:
        of = {row["devices"]: row for row in rows if row["what"] == what}
        few, many = of[small], of[large]
        growth = many["ms"] / few["ms"]
        lines.append(f"| {what} | {few['ms']:.1f} | {many['ms']:.1f} | {many['cpu_ms']:.1f} | {growth:.1f} |")
    return lines


def methods(rounds: int) -> list[dict]:
    """Processor time of Central for a command over REST that the device answers at once, from callers side by side."""
    rows = []
    for callers in METHOD_CALLERS:
        samples = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                with central(folder) as (process, data, rest):
                    clients = folder / "clients.tsv"
                    clients.write_text("".join(device_line(rest, f"bench-{i}") for i in range(callers)))
                    server = Server("tidegate", rest.mqtts, data / "ca.pem", process.pid, "")
                    command = load_command(server, clients, 1, 1, 0) + ["--answer"]
                    answering = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                    try:
                        answering.stdout.readline()
                        before, started = cpu_seconds(process.pid), time.monotonic()
                        with concurrent.futures.ThreadPoolExecutor(callers) as pool:
                            list(pool.map(lambda i: call_methods(rest, f"bench-{i}"), range(callers)))
                        calls, seconds = callers * METHOD_CALLS, time.monotonic() - started
                        samples.append({"cpu_us": (cpu_seconds(process.pid) - before) / calls * 1e6, "per_second": calls / seconds})
                    finally:
                        answering.kill()
                        answering.wait()
        rows.append({"callers": callers} | {key: statistics.median(s[key] for s in samples) for key in ("cpu_us", "per_second")})
        print(f"methods {rows[-1]}", file=sys.stderr)
    return rows


def call_methods(rest: Rest, device: str):
    connection = http.client.HTTPSConnection("localhost", rest.https, context=rest.tls)
    headers = {"Authorization": rest.token, "Content-Type": "application/json"}
    path = f"/api/devices/{device}/commands/blink?api-version=2022-10-31-preview"
    for _ in range(METHOD_CALLS):
        connection.request("POST", path, '{"request":{"times":3}}', headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"bench: a command: {answer.status} {text[:300]!r}")


def methods_table(rows: list[dict]) -> list[str]:
    lines = ["| Callers | CPU µs a command | commands/s |", "| --- | --- | --- |"]
    return lines + [f"| {row['callers']} | {row['cpu_us']:.0f} | {row['per_second']:,.0f} |" for row in rows]


def central_start() -> dict:
    """From the start of the process on an existing folder to `ready`, and its memory when nothing happens."""
    with tempfile.TemporaryDirectory() as name_folder:
        folder = pathlib.Path(name_folder)
        with tidegate(folder, {}, CONNECTIONS) as server:
            load(server, folder, 20, 2)
        started = time.monotonic()
        process = subprocess.Popen([str(part) for part in serve_command(folder / "central")], stdout=subprocess.PIPE, text=True)
        try:
            while process.stdout.readline().strip() != "ready":
                if process.poll() is not None:
                    raise SystemExit("bench: Central did not start again")
            ready = time.monotonic() - started
            time.sleep(5)
            return {"ready_secs": ready, "pss_kib": pss_kib(process.pid)}
        finally:
            process.terminate()
            process.wait(20)


def edge_memory() -> dict:
    """PSS of one edge process, idle and at 1,000 messages a second from a downstream device routed upstream."""
    with tempfile.TemporaryDirectory() as name_folder:
        folder = pathlib.Path(name_folder)
        with central(folder) as (_process, data, rest):
            config, port = edge_config(folder, data, rest)
            with running([TARGET / "tidegate-edge", "run", "--config", config], folder / "edge.log") as edge:
                edge_ca = wait_for(lambda: (p := folder / "edge/identity/ca.pem").exists() and p, "the edge")
                wait_for(lambda: listening(port), "the edge's listener")
                time.sleep(5)
                result = {"idle_kib": pss_kib(edge.pid)}
                leaf = Server("edge", port, edge_ca, edge.pid, device_line(rest, "leaf"))
                rest.call("PUT", "/devices/gateway/relationships/leaf", {"source": "gateway", "target": "leaf"})
                command_result = wait_for(lambda: try_load(leaf, folder), "the leaf to be known to the edge")
                result |= {"loaded_kib": pss_kib(edge.pid), "cpu_us": command_result["cpu_us"]}
                result["messages_per_second"] = command_result["messages_per_second"]
                return result


def try_load(leaf: Server, folder: pathlib.Path):
    try:
        return load(leaf, folder, 20, 10, rate=1000)
    except subprocess.CalledProcessError:
        return None


def edge_config(folder: pathlib.Path, data: pathlib.Path, rest: Rest):
    system = {"type": "docker", "settings": {"image": "system:1"}}
    agent = {"schemaVersion": "1.1", "runtime": {"type": "docker", "settings": {}}, "modules": {},
             "systemModules": {"edgeAgent": system, "edgeHub": {**system, "status": "running", "restartPolicy": "always"}}}  # fmt: skip
    hub = {"schemaVersion": "1.1", "routes": {"up": "FROM /messages/* INTO $upstream"},
           "storeAndForwardConfiguration": {"timeToLiveSecs": 7200}}  # fmt: skip
    content = {"modulesContent": {"$edgeAgent": {"properties.desired": agent}, "$edgeHub": {"properties.desired": hub}}}
    rest.call("PUT", "/devices/gateway", {"displayName": "gateway", "type": ["iotEdge"]})
    rest.call("POST", "/devices/gateway/applyDeploymentManifest", {"displayName": "bench", "data": content})
    key = rest.call("GET", "/devices/gateway/credentials")["symmetricKey"]["primaryKey"]
    port = free_port()
    config = folder / "edge.toml"
    config.write_text(
        f'hostname = "localhost"\ntrust_bundle_cert = "file://{data}/ca.pem"\n[provisioning]\nsource = "manual"\n'
        f'connection_string = "HostName=localhost;DeviceId=gateway;SharedAccessKey={key}"\n[tidegate]\n'
        f'data_dir = "{folder}/edge"\nlisten_mqtts = "127.0.0.1:{port}"\n'
        f"upstream_mqtts_port = {rest.mqtts}\nupstream_https_port = {rest.https}\n"
    )
    return config, port


# --- report -----------------------------------------------------------------------------------------------------------


def machine() -> str:
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal")) // 1024 // 1024
    return f"{cpu}, {os.cpu_count()} cores, {memory} GiB, Linux {platform.release()}"


def ingest_table(rows: list[dict]) -> list[str]:
    lines = [
        "| Window | Server | CPU µs a message | messages/s | p50 ms | p99 ms | CPU ÷ mosquitto | CPU ÷ rumqttd |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        of = {r["name"]: r["cpu_us"] for r in rows if r["window"] == row["window"]}
        measures = [(row["name"], "cpu_us")]
        if row["name"] == "tidegate":
            measures = [("tidegate, accepting", "cpu_us"), ("tidegate, everything", "whole_cpu_us")]
        for name, key in measures:
            ratios = [f"{row[key] / of[peer]:.2f}" if peer in of else "–" for peer in ("mosquitto", "rumqttd")]
            lines.append(
                f"| {row['window']} | {name} | {row[key]:.1f} | {row['messages_per_second']:,.0f} | "
                f"{row['p50_us'] / 1000:.2f} | {row['p99_us'] / 1000:.2f} | {ratios[0]} | {ratios[1]} |"
            )
    return lines


def connects_table(rows: list[dict]) -> list[str]:
    lines = ["| TLS session | Server | CPU µs a connection | resumed | CPU ÷ mosquitto |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        peer = {r["name"]: r["cpu_us"] for r in rows if r["resume"] == row["resume"]}.get("mosquitto")
        ratio = f"{row['cpu_us'] / peer:.2f}" if peer else "–"
        session = "taken up" if row["resume"] else "new"
        share = row["resumed"] / row["connects"]
        lines.append(f"| {session} | {row['name']} | {row['cpu_us']:.0f} | {share:.0%} | {ratio} |")
    return lines


def report(results: dict, options: argparse.Namespace) -> str:
    rows, idle, start, edge = (results[name] for name in ("ingest", "idle", "start", "edge"))
    lines = [
        "# Results", "",
        f"Measured {datetime.date.today()} with `make bench` on {machine()}. Load generator and server share the machine.",
        f"Medians of {options.rounds} rounds of {options.seconds:g} s; {CONNECTIONS} connections, {MESSAGE_BYTES}-byte JSON, QoS 1, TLS 1.3.",
        "Tidegate authenticates every device and makes every message durable before it acknowledges; the peers do neither.",
        "", "## Ingest", "",
        "*Accepting* is the CPU time of every thread but the telemetry reader's: TLS, MQTT, the log with its `fdatasync`, the",
        "acknowledgement. *Everything* is the whole process until each message was also taken apart, typed and can be queried.",
        "",
        *ingest_table(rows),
        "", "## Memory of an idle TLS connection", "", "| Server | KiB |", "| --- | --- |",
        *[f"| {name} | {kib:.1f} |" for name, kib in idle],
        "", "## A connection", "", "Made, let in and ended, one after the other; Tidegate checks a token of the device's own.", "",
        *connects_table(results["connects"]),
        "", f"## {STAYING} clients that stay, while {COMING:,} others come and go", "", *storm_table(results["storm"]),
        "", "## A command", "", "Over REST, which the device answers at once.", "", *methods_table(results["methods"]),
        "", "## A large fleet", "", "One request after the other; medians.", "",
        *fleet_table(results["fleet"]),
        "", "## Central", "", "| What | Value |", "| --- | --- |",
        f"| start on an existing folder to ready | {start['ready_secs']:.2f} s |",
        f"| PSS idle | {start['pss_kib'] / 1024:.1f} MiB |",
        "", "## Edge", "", "| What | Value |", "| --- | --- |",
        f"| PSS idle | {edge['idle_kib'] / 1024:.1f} MiB |",
        f"| PSS at {edge['messages_per_second']:,.0f} messages/s | {edge['loaded_kib'] / 1024:.1f} MiB |",
        f"| CPU a message, leaf → durable queue → upstream | {edge['cpu_us']:.1f} µs |",
        f"| program on disk | {(TARGET / 'tidegate-edge').stat().st_size / 1024 / 1024:.1f} MiB |",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def make_tls(folder: pathlib.Path) -> dict:
    """A P-256 server certificate for the peers, of the kind Tidegate makes for itself."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)  # fmt: skip
    return {"ca": cert, "cert": cert, "key": key}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=8)
    arguments.add_argument("--only", choices=["ingest", "idle", "connects", "storm", "methods", "fleet", "start", "edge"], help="print one scenario, write nothing")
    arguments.add_argument("--servers", default=",".join(SERVERS), help="with --only: which servers")
    arguments.add_argument("--no-build", action="store_true", help="take the build as it is")
    options = arguments.parse_args()
    build = ["cargo", "build", "--profile", "dist", "-p", "tidegate-central", "-p", "tidegate-edge", "-p", "mqtt-load"]
    if not options.no_build:
        subprocess.run(build, check=True, cwd=ROOT)
    servers = options.servers.split(",")
    with tempfile.TemporaryDirectory() as name:
        tls = make_tls(pathlib.Path(name))
        scenarios = {
            "ingest": lambda: ingest(tls, options.rounds, options.seconds, servers),
            "idle": lambda: idle_connection_kib(tls, [server for server in servers if server != "rumqttd"]),
            "connects": lambda: connects(tls, options.rounds, [server for server in servers if server != "rumqttd"]),
            "storm": lambda: storm(tls, options.rounds, [server for server in servers if server != "rumqttd"]),
            "methods": lambda: methods(options.rounds),
            "fleet": lambda: fleet(options.rounds),
            "start": central_start,
            "edge": edge_memory,
        }
        if options.only:
            print(json.dumps(scenarios[options.only](), indent=1))
            return
        results = {name: scenario() for name, scenario in scenarios.items()}
        text = report(results, options)
    path = ROOT / "bench/RESULTS.md"
    notes = path.read_text().partition("\n## Against the aims\n")[2] if path.exists() else ""
    path.write_text(text + (f"\n## Against the aims\n{notes}" if notes else ""))
    print(text)


if __name__ == "__main__":
    main()
