"""A full disk, for real: nothing is acknowledged that is not stored, it is said, and it ends by itself."""

import json
import subprocess

import pytest
import requests

from conftest import Central, Edge, PROGRAMS, Program, wait_until
from deployments import apply_manifest, attach, device_key, manifest
from faults.counter import TEMPLATE, check, publish_template
from faults.disk import SmallDisk
from faults.load import LoadedDevice

DISK_MEBIBYTES = 24
# A few hundred messages.
ROOM_BYTES = 128 * 1024
DEVICE = "device-1"
LEAF = "leaf-1"

pytestmark = pytest.mark.complaints(
    "no space left on the disk",
    "connection ended .*the messages could not be stored",
    "generation is that of the last start: the disk is nearly full",
)


@pytest.fixture
def small_disk():
    disks = []

    def make(folder):
        disks.append(SmallDisk(folder, DISK_MEBIBYTES))
        return disks[-1]

    yield make
    for disk in disks:
        disk.remove()


@pytest.fixture
def central_disk(small_disk, tmp_path):
    return small_disk(tmp_path / "central")


def problems(central: Central) -> list[str]:
    answer = requests.get(f"https://{central.HOST}/health/ready", verify=str(central.data / "ca.pem"), timeout=2)
    return answer.json().get("problems", []) if answer.status_code == 503 else []


def loaded(central: Central, device: str, host: str, ca) -> LoadedDevice:
    return LoadedDevice(device, device_key(central, device), central.HOST, host, str(ca))


def test_central_refuses_says_so_and_goes_on(central_disk, central):
    publish_template(central)
    central.call("PUT", f"/api/devices/{DEVICE}", {"displayName": DEVICE, "template": TEMPLATE})
    device = loaded(central, DEVICE, central.HOST, central.data / "ca.pem")
    device.start()
    wait_until(lambda: device.acknowledged, "first acknowledgements")
    central_disk.fill(ROOM_BYTES)

    log_folder = str(central.data / "log")
    said = wait_until(lambda: problems(central), "Central to say that it is not ready")
    assert any("no space left on the disk" in problem and log_folder in problem for problem in said), said
    lines = [line for line in central.output().splitlines() if "no space left on the disk" in line]
    assert any("ERROR messages are refused" in line and log_folder in line for line in lines), lines
    assert central.process.poll() is None
    # What is there can be read.
    assert central.call("GET", f"/api/devices/{DEVICE}")["id"] == DEVICE
    assert central.messages(DEVICE)
    assert central.query(f"SELECT TOP 1 n FROM {TEMPLATE} WHERE $id = '{DEVICE}'")

    central_disk.make_room()
    wait_until(lambda: not problems(central), "Central to be ready again")
    device.drain(20)
    check(central, device, 20)
    assert "the log takes messages again" in central.output()
    central.stop()
    central.start()
    check(central, device, 20)


def test_a_change_that_cannot_be_stored_is_refused_with_the_reason(central_disk, central):
    central_disk.fill(leave_bytes=0)
    made, refusal = [], None
    for number in range(500):
        # The registry has some room of its own left.
        name = f"extra-{number}"
        answer = central.session.put(
            f"https://{central.HOST}/api/devices/{name}",
            params={"api-version": "2022-10-31-preview"},
            json={"displayName": "x" * 100},
            timeout=20,
        )
        if not answer.ok:
            refusal = answer
            break
        made.append(name)
    assert refusal is not None, "the registry never ran out of room"
    assert refusal.status_code == 507, refusal.text
    assert "disk" in refusal.json()["error"]["message"]
    assert "no space left on the disk of the registry's database" in central.output()

    central_disk.make_room()
    wait_until(
        lambda: central.call("PUT", "/api/devices/afterwards", {"displayName": "afterwards"}), "changes to be taken again"
    )
    for name in made:
        assert central.call("GET", f"/api/devices/{name}")["id"] == name


def test_central_killed_on_a_full_disk_starts_again(central_disk, central):
    publish_template(central)
    central.call("PUT", f"/api/devices/{DEVICE}", {"displayName": DEVICE, "template": TEMPLATE})
    device = loaded(central, DEVICE, central.HOST, central.data / "ca.pem")
    device.start()
    wait_until(lambda: device.acknowledged, "first acknowledgements")
    central_disk.fill(ROOM_BYTES)
    wait_until(lambda: problems(central), "Central to say that it is not ready")
    central.kill()
    Program.start(central)
    wait_until(lambda: problems(central), "Central to start, and to say that it is not ready")
    assert central.call("GET", f"/api/devices/{DEVICE}")["id"] == DEVICE
    central_disk.make_room()
    wait_until(lambda: not problems(central), "Central to be ready again")
    device.drain(20)
    check(central, device, 20)


@pytest.fixture
def edge_on_small_disk(small_disk, central, tmp_path):
    disk = small_disk(tmp_path / "gateway-1")
    publish_template(central)
    edge = Edge(tmp_path, central)
    central.call("PUT", f"/api/devices/{edge.device_id}", {"displayName": "Gateway", "type": ["iotEdge"]})
    apply_manifest(central, edge.device_id, manifest({"up": "FROM /messages/* INTO $upstream"}, {}))
    central.call("PUT", f"/api/devices/{LEAF}", {"displayName": LEAF, "template": TEMPLATE})
    attach(central, edge.device_id, LEAF)
    edge.start()
    # Until then it cannot ask who a downstream device is, and says so.
    wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
    yield disk, edge
    edge.stop()


def edge_status(edge: Edge) -> dict:
    answer = subprocess.run(
        [PROGRAMS / "tidegate-edge", "system", "status", "--json", "--config", edge.config], capture_output=True, timeout=20
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_edge_refuses_says_so_and_goes_on(edge_on_small_disk, central):
    disk, edge = edge_on_small_disk
    leaf = loaded(central, LEAF, edge.HOST, edge.data / "identity/ca.pem")
    leaf.start()
    wait_until(lambda: leaf.acknowledged, "first acknowledgements", 20)
    central.stop()
    disk.fill(ROOM_BYTES)

    queues = str(edge.data / "hub/queues")
    problem = wait_until(lambda: (words := edge_status(edge)["queues"]) != "fine" and words, "the edge to show that it stores nothing")
    assert "no space left on the disk" in problem and queues in problem, problem
    lines = [line for line in edge.output().splitlines() if "no space left on the disk" in line]
    assert lines and all("messages are refused" in line and queues in line for line in lines), lines
    assert edge.process.poll() is None

    disk.make_room()
    before = len(leaf.acknowledged)
    wait_until(lambda: len(leaf.acknowledged) > before, "the edge to store again")
    wait_until(lambda: edge_status(edge)["queues"] == "fine", "the edge to show that it stores again")
    central.start()
    leaf.drain(20)
    check(central, leaf, 20)
