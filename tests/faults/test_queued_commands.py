"""Central and the edge killed at random points while commands are queued: each that was accepted arrives, and none is open at the end."""

import os
import random
import threading

from azure.iot.device import IoTHubDeviceClient
import pytest
import requests

from conftest import Central, Edge, wait_until
from deployments import QUEUED_TEMPLATE, apply_manifest, attach, device_key, manifest
from faults.kills import COMPLAINTS

ROUNDS = int(os.environ.get("TIDEGATE_KILL_ROUNDS", "6"))
ROUND_SECS = (0.2, 1.5)
TEMPLATE = "dtmi:com:example:QueuedKilled;1"
DIRECT, LEAF = "direct-1", "leaf-1"

pytestmark = pytest.mark.complaints(*COMPLAINTS)


@pytest.fixture
def site(tmp_path):
    central = Central(tmp_path)
    central.start()
    central.call("PUT", f"/api/deviceTemplates/{TEMPLATE}", QUEUED_TEMPLATE)
    edge = Edge(tmp_path, central)
    central.call("PUT", f"/api/devices/{edge.device_id}", {"displayName": "Gateway", "type": ["iotEdge"]})
    apply_manifest(central, edge.device_id, manifest({"up": "FROM /messages/* INTO $upstream"}, {}))
    for device in [DIRECT, LEAF]:
        central.call("PUT", f"/api/devices/{device}", {"displayName": device, "template": TEMPLATE})
    attach(central, edge.device_id, LEAF)
    edge.start()
    # Until then it cannot ask who a downstream device is, and says so.
    wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
    yield central, edge
    edge.stop()
    central.stop()


class Listener:
    """A device that notes the ids of what it gets."""

    def __init__(self, central: Central, device: str, host: str, ca: str):
        self.received: list[str] = []
        self.client = IoTHubDeviceClient.create_from_symmetric_key(
            symmetric_key=device_key(central, device),
            hostname=central.HOST,
            gateway_hostname=None if host == central.HOST else host,
            device_id=device,
            server_verification_cert=ca,
            connection_retry_interval=1,
        )
        wait_until(self.connect, f"{device} to connect")
        self.client.on_message_received = lambda message: self.received.append(message.message_id)

    def connect(self) -> bool:
        try:
            self.client.connect()
            return True
        except Exception:
            return False


class Sender(threading.Thread):
    """Queues commands for a device, one after the other, whatever happens to Central."""

    def __init__(self, central: Central, device: str):
        super().__init__()
        self.url = f"https://{central.HOST}/api/devices/{device}/commands/restart?api-version=2022-07-31"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = central.session.verify
        self.session.headers["Authorization"] = central.session.headers["Authorization"]
        self.accepted: list[str] = []
        self.enough = threading.Event()

    def run(self):
        while not self.enough.is_set():
            try:
                answer = self.session.post(self.url, json={"request": len(self.accepted)}, timeout=5)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == 201:
                self.accepted.append(answer.json()["id"])
            # Also when the queue is full: the device is away just now.
            self.enough.wait(0.05)


def test_every_command_that_was_accepted_arrives(site):
    central, edge = site
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    edge_ca = (edge.data / "identity/ca.pem").read_text()
    listeners = {
        DIRECT: Listener(central, DIRECT, central.HOST, central.ca_pem),
        LEAF: Listener(central, LEAF, edge.HOST, edge_ca),
    }
    senders = {device: Sender(central, device) for device in listeners}
    for sender in senders.values():
        sender.start()
    wait_until(lambda: all(listener.received for listener in listeners.values()), "first messages", 60)
    pause = threading.Event()
    for _ in range(ROUNDS):
        victims = dice.choice([[central], [edge], [central, edge]])
        pause.wait(dice.uniform(*ROUND_SECS))
        for victim in victims:
            victim.kill()
        pause.wait(dice.uniform(0, 0.5))
        for victim in victims:
            victim.start()
    for sender in senders.values():
        sender.enough.set()
        sender.join()
    for device, listener in listeners.items():
        accepted = senders[device].accepted
        assert accepted, device
        missing = lambda: set(accepted) - set(listener.received)
        wait_until(lambda: not missing(), f"all {len(accepted)} messages of {device}", 90)
        queued = lambda: central.call("GET", f"/api/ext/v1/devices/{device}/queuedCommands", version=None)
        wait_until(lambda: queued()["waiting"] == 0, f"the queue of {device} to be empty", 60)
        assert {run["state"] for run in queued()["value"]} == {"answered"}
        first_seen = list(dict.fromkeys(message for message in listener.received if message in set(accepted)))
        assert first_seen == accepted, f"{device}: out of order"
        listener.client.shutdown()
    print({device: len(sender.accepted) for device, sender in senders.items()})
