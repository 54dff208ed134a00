"""Central and the edge killed at random points under load: nothing acknowledged is missing, and each device's order holds."""

import os
import random
import threading

import pytest

from conftest import Central, Edge, wait_until
from deployments import apply_manifest, attach, device_key, manifest
from faults.counter import TEMPLATE, check, publish_template
from faults.kills import COMPLAINTS
from faults.load import LoadedDevice

ROUNDS = int(os.environ.get("TIDEGATE_KILL_ROUNDS", "20"))
ROUND_SECS = (0.2, 1.5)
DIRECT = ["direct-1", "direct-2"]
LEAF = "leaf-1"

pytestmark = pytest.mark.complaints(*COMPLAINTS)


@pytest.fixture
def site(tmp_path):
    central = Central(tmp_path)
    central.start()
    publish_template(central)
    edge = Edge(tmp_path, central)
    central.call("PUT", f"/api/devices/{edge.device_id}", {"displayName": "Gateway", "type": ["iotEdge"]})
    apply_manifest(central, edge.device_id, manifest({"up": "FROM /messages/* INTO $upstream"}, {}))
    for device in [*DIRECT, LEAF]:
        central.call("PUT", f"/api/devices/{device}", {"displayName": device, "template": TEMPLATE})
    attach(central, edge.device_id, LEAF)
    edge.start()
    # Until then it cannot ask who a downstream device is, and says so.
    wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
    yield central, edge
    edge.stop()
    central.stop()


def test_random_kills(site):
    central, edge = site
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    devices = [
        LoadedDevice(name, device_key(central, name), central.HOST, central.HOST, str(central.data / "ca.pem"))
        for name in DIRECT
    ]
    edge_ca = edge.data / "identity/ca.pem"
    devices.append(LoadedDevice(LEAF, device_key(central, LEAF), central.HOST, edge.HOST, str(edge_ca)))
    for device in devices:
        device.start()
    wait_until(lambda: all(device.acknowledged for device in devices), "first acknowledgements of every device", 60)

    pause = threading.Event()
    for _ in range(ROUNDS):
        victims = dice.choice([[central], [edge], [central, edge]])
        pause.wait(dice.uniform(*ROUND_SECS))
        for victim in victims:
            victim.kill()
        pause.wait(dice.uniform(0, 0.5))
        for victim in victims:
            victim.start()
    for device in devices:
        device.drain(60)
    for device in devices:
        assert device.acknowledged, device.device_id
        check(central, device)
    print({device.device_id: len(device.acknowledged) for device in devices})
