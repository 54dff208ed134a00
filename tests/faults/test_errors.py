"""What goes wrong before anything runs, or from outside: said clearly, with what and where, and nothing else is lost."""

import json
import os
import shutil
import socket
import ssl
import subprocess

import pytest

from conftest import PROGRAMS, Central, Edge, Program, wait_until
from deployments import apply_manifest, attach, device_key, manifest
from faults.load import LoadedDevice

EXIT_FAILED, EXIT_CONFIG = 1, 78
DEVICE = "device-1"


def run(*arguments) -> subprocess.CompletedProcess:
    """A program that must end by itself."""
    program, *rest = map(str, arguments)
    return subprocess.run([PROGRAMS / program, *rest], capture_output=True, text=True, timeout=15)


def run_edge(edge: Edge, *arguments: str) -> subprocess.CompletedProcess:
    return run("tidegate-edge", *arguments, "--config", edge.config)


@pytest.fixture
def device(shared_central):
    central = shared_central
    central.call("PUT", f"/api/devices/{DEVICE}", {"displayName": DEVICE})
    device = LoadedDevice(DEVICE, device_key(central, DEVICE), central.HOST, central.HOST, str(central.data / "ca.pem"))
    device.connect()
    wait_until(device.client.is_connected, "the device to be let in")
    yield device
    device.close()


@pytest.fixture
def edge(shared_central, tmp_path):
    edge = Edge(tmp_path, shared_central)
    shared_central.call("PUT", f"/api/devices/{edge.device_id}", {"displayName": "Gateway", "type": ["iotEdge"]})
    routes = {"up": "FROM /messages/* INTO $upstream"}
    apply_manifest(shared_central, edge.device_id, manifest(routes, {}))
    yield edge
    edge.stop()


def start(edge: Edge):
    edge.start()
    wait_until(lambda: "upstream: connected" in run_edge(edge, "system", "status").stdout, "the edge to be connected")


@pytest.mark.parametrize("flag", ["--https", "--mqtts"])
def test_central_names_a_taken_port(tmp_path, flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = {"--https": "--mqtts", "--mqtts": "--https"}[flag]
        ended = run("tidegate", "serve", "--data", tmp_path / "data", flag, address, other, "127.0.0.1:0")
    assert ended.returncode == EXIT_FAILED
    assert address in ended.stderr and flag in ended.stderr, ended.stderr


def test_edge_names_a_taken_port_and_its_key(edge):
    with socket.create_server(("127.0.0.2", 8883)):
        ended = run_edge(edge, "run")
    assert ended.returncode == EXIT_FAILED
    assert "127.0.0.2:8883" in ended.stderr and "listen_mqtts" in ended.stderr, ended.stderr


def test_a_folder_in_use_is_named(shared_central, edge):
    second = run(*shared_central.command[:1], *shared_central.command[1:])
    assert second.returncode == EXIT_FAILED
    assert str(shared_central.data) in second.stderr and "in use" in second.stderr, second.stderr
    assert shared_central.ready()
    start(edge)
    second = run_edge(edge, "run")
    assert second.returncode == EXIT_FAILED
    assert str(edge.data) in second.stderr and "in use" in second.stderr, second.stderr
    assert "upstream: connected" in run_edge(edge, "system", "status").stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('hostname = "a.test"\nhostnam = "b"\n', ["line 2", "hostnam"]),
        ("[log]\nmax_bytes = true\n", ["line 2", "invalid type"]),
        ("[log\n", ["line 1"]),
        ('hostname = "no name"\n', ["hostname", "no name"]),
        (None, ["No such file"]),
    ],
)
def test_a_bad_configuration_of_central_is_refused_with_its_place(tmp_path, text, said):
    config = tmp_path / "tidegate.toml"
    if text is not None:
        config.write_text(text)
    ended = run("tidegate", "serve", "--data", tmp_path / "data", "--config", config)
    assert ended.returncode == EXIT_CONFIG, ended.stderr
    for words in [*said, str(config)] if text != 'hostname = "no name"\n' else said:
        assert words in ended.stderr, ended.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("listen_mqtts = ", "listen_mqtt = "), "config.toml:13: unknown field `listen_mqtt`"),
        (('"127.0.0.2:8883"', "7"), "config.toml:13: invalid type"),
        (('source = "dps"', 'source = "magic"'), 'config.toml: provisioning.source is "magic"'),
        (None, "No such file"),
    ],
)
def test_a_bad_configuration_of_the_edge_is_refused_with_its_place(edge, tmp_path, change, said):
    path = tmp_path / "config.toml"
    if change:
        path.write_text(edge.config.read_text().replace(*change, 1))
    for command in [["run"], ["check"], ["config", "apply"]]:
        ended = run("tidegate-edge", *command, "--config", path)
        assert ended.returncode == EXIT_CONFIG, ended.stderr
        assert said in ended.stderr and str(path) in ended.stderr, ended.stderr


@pytest.mark.parametrize("wrong", ["symmetric_key", "id_scope"])
@pytest.mark.complaints("not provisioned: check")
def test_an_edge_with_a_wrong_enrollment_says_so_and_keeps_trying(edge, wrong):
    lines = edge.config.read_text().splitlines()
    value = {"symmetric_key": 'symmetric_key = { value = "d3Jvbmc=" }', "id_scope": 'id_scope = "0ne00000000"'}[wrong]
    edge.config.write_text("\n".join(value if line.startswith(wrong) else line for line in lines) + "\n")
    edge.start()
    wait_until(lambda: "not provisioned: check [provisioning]" in edge.output(), "the refusal in the log")
    listed = run_edge(edge, "list")
    assert listed.returncode == 0 and "provisioning: failed: " in listed.stdout, listed.stdout
    assert f"https://{Central.HOST}" in listed.stdout and edge.device_id in listed.stdout, listed.stdout
    checked = run_edge(edge, "check")
    assert checked.returncode == EXIT_FAILED and "FAILED  device-provisioned: failed: " in checked.stdout, checked.stdout
    assert edge.process.poll() is None


def test_a_bad_manifest_is_refused_with_its_place_and_the_modules_stay(shared_central, edge):
    central = shared_central
    good = manifest({"up": "FROM /messages/* INTO $upstream"}, {})
    for path, value, said in [
        (["$edgeHub", "routes", "up"], "FROM /messages/* INTO nowhere", "/routes/up"),
        (["$edgeHub", "storeAndForwardConfiguration", "timeToLiveSecs"], "soon", "/timeToLiveSecs"),
        (["$edgeAgent", "modules"], {"m": {"type": "docker"}}, "/modules/m"),
    ]:
        bad = json.loads(json.dumps(good))
        at = bad["modulesContent"][path[0]]["properties.desired"]
        for name in path[1:-1]:
            at = at[name]
        at[path[-1]] = value
        refusal = central.call(
            "POST", f"/api/devices/{edge.device_id}/applyDeploymentManifest", {"displayName": "bad", "data": bad}, 422
        )
        places = [fault["dataPath"] for fault in refusal["error"]["innerError"]["context"]]
        assert any(place.startswith("/data/modulesContent/") and said in place for place in places), refusal
    assert central.call("GET", f"/api/devices/{edge.device_id}")["id"] == edge.device_id


@pytest.mark.parametrize("name", ["log", "telemetry"])
@pytest.mark.complaints("going on without: .* was removed")
def test_a_removed_folder_is_said_and_accepted_only_when_told(tmp_path, name):
    data = tmp_path / "data"
    command = ["serve", "--data", str(data), "--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"]

    def start_and_stop(*more: str):
        central = Program("tidegate", [*command, *more], tmp_path / "central.log")
        central.start()
        wait_until(lambda: (data / "endpoints.json").exists(), "Central to start")
        central.stop()

    start_and_stop()
    shutil.rmtree(data / name)
    ended = run("tidegate", *command)
    assert ended.returncode == EXIT_CONFIG
    assert str(data / name) in ended.stderr and "--accept-data-loss" in ended.stderr, ended.stderr
    start_and_stop("--accept-data-loss")
    start_and_stop()


def test_an_oversized_message_closes_only_its_own_connection(shared_central, device):
    central = shared_central
    central.call("PUT", "/api/devices/large", {"displayName": "large"})
    large = LoadedDevice("large", device_key(central, "large"), central.HOST, central.HOST, str(central.data / "ca.pem"))
    large.connect()
    try:
        wait_until(large.client.is_connected, "the device to be let in")
        sent = large.client.publish(large.topic, "x" * (256 * 1024 + 70_000), qos=1)
        wait_until(lambda: "large" in central.output() and "connection ended" in central.output(), "the connection to be cut")
        assert not sent.is_published()
    finally:
        large.close()
    device.send_one({"still": "here"})
    assert central.ready()


def test_bytes_that_are_no_mqtt_do_no_harm(shared_central, device):
    context = ssl.create_default_context(cafile=str(shared_central.data / "ca.pem"))
    for garbage in [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\x10\xff\xff\xff\xff\x7f", b"\xff" * 4096, os.urandom(4096)]:
        with socket.create_connection((Central.HOST, 8883), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=Central.HOST) as connection:
                connection.sendall(garbage)
                assert hangs_up(connection), garbage[:16]
        with socket.create_connection((Central.HOST, 8883), timeout=10) as plain:
            plain.sendall(garbage)
            plain.shutdown(socket.SHUT_WR)
            assert hangs_up(plain), garbage[:16]
    device.send_one({"still": "here"})
    assert shared_central.process.poll() is None


def hangs_up(connection: socket.socket) -> bool:
    """Whether the other side hangs up, whatever it says before."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


STATE_FILES = [
    "identity/provisioned.json",
    "identity/modules.json",
    "hub/scope.json",
    "hub/config.json",
    "lifecycle/deployment.json",
]
STATE_FILES_AT_TIMES = ["hub/sessions.json", "lifecycle/restarts.json"]


@pytest.mark.complaints("is damaged")
def test_damaged_state_of_the_edge_is_said_and_got_again(shared_central, edge):
    central = shared_central
    central.call("PUT", "/api/devices/leaf-1", {"displayName": "Leaf"})
    attach(central, edge.device_id, "leaf-1")
    start(edge)
    leaf = LoadedDevice("leaf-1", device_key(central, "leaf-1"), central.HOST, edge.HOST, str(edge.data / "identity/ca.pem"))
    leaf.connect()
    try:
        wait_until(leaf.client.is_connected, "the leaf to be let in")
        leaf.send_one({"n": 1})
        wait_until(lambda: all((edge.data / name).exists() for name in STATE_FILES), "the edge to keep everything")
        edge.stop()
        for name in STATE_FILES + STATE_FILES_AT_TIMES:
            (edge.data / name).write_bytes(b'{"torn')
        start(edge)
        for name in STATE_FILES + STATE_FILES_AT_TIMES:
            assert str(edge.data / name) in edge.output(), f"{name} is said"
        wait_until(leaf.client.is_connected, "the leaf to be let in again")
        leaf.send_one({"n": 2})
        wait_until(
            lambda: {m["body"]["n"] for m in central.messages("leaf-1")} >= {1, 2}, "both messages of the leaf in Central"
        )
    finally:
        leaf.close()


def test_keys_that_are_damaged_are_refused_with_their_place(edge):
    start(edge)
    edge.stop()
    (edge.data / "identity/master.key").write_bytes(b"short")
    ended = run_edge(edge, "run")
    assert ended.returncode == EXIT_FAILED
    assert str(edge.data / "identity/master.key") in ended.stderr, ended.stderr
