"""The edge without Central: it stores, forwards in order, forgets only what is too old, and starts from what it knows."""

import json
import pathlib
import subprocess
import sys
import time

import pytest

from conftest import PROGRAMS, Central, Edge, wait_until
from deployments import apply_manifest, attach, device_key, manifest
from faults.counter import TEMPLATE, check, publish_template
from faults.load import LoadedDevice

HERE = pathlib.Path(__file__).parent
IMAGE = "example.test/counting"
LEAF = "leaf-1"
# What Central must have stored of a module is looked up among its newest messages.
MESSAGES_MAX = 100

# The edge misses Central, which is what these tests are about.
pytestmark = pytest.mark.complaints(
    "the hub is not ready for this device, trying again",
    "the hub cannot be asked",
    "the scope could not be fetched .*the hub's HTTPS API is not reachable",
)


class Site:
    """Central with one edge, a downstream device that is always sending, and a module that counts."""

    def __init__(self, central: Central, folder: pathlib.Path, content: dict, processes: dict):
        self.central = central
        publish_template(central)
        self.edge = Edge(folder, central, processes=processes)
        gateway = self.edge.device_id
        central.call("PUT", f"/api/devices/{gateway}", {"displayName": "Gateway", "type": ["iotEdge"]})
        apply_manifest(central, gateway, content)
        central.call("PUT", f"/api/devices/{LEAF}", {"displayName": LEAF, "template": TEMPLATE})
        attach(central, gateway, LEAF)
        self.leaf_key = device_key(central, LEAF)
        self.edge.start()
        # Until then it cannot ask who a downstream device is, and says so.
        wait_until(lambda: "routes in force" in self.edge.output(), "the edge to have its deployment")

    def leaf(self) -> LoadedDevice:
        return LoadedDevice(LEAF, self.leaf_key, self.central.HOST, self.edge.HOST, str(self.edge.data / "identity/ca.pem"))


@pytest.fixture
def counted(tmp_path):
    return tmp_path / "counted"


def count_of(file: pathlib.Path) -> int:
    return len(file.read_text().split()) if file.exists() else 0


@pytest.fixture
def site(central, tmp_path, counted):
    processes = {IMAGE: [sys.executable, str(HERE / "counting_module.py"), str(counted)]}
    site = Site(central, tmp_path, manifest({"up": "FROM /messages/* INTO $upstream"}, {"counting": IMAGE}), processes)
    yield site
    site.edge.stop()


def check_module(site: Site, counted: pathlib.Path):
    until = count_of(counted)
    assert until <= MESSAGES_MAX, "the test took too long for what it looks at"

    def numbers():
        messages = site.central.messages(site.edge.device_id, MESSAGES_MAX)
        found = sorted((m for m in messages if m.get("module") == "counting"), key=lambda m: m["offset"])
        return [message["body"]["n"] for message in found]

    wait_until(lambda: set(range(until)) <= set(numbers()), f"all {until} acknowledged messages of the module")
    firsts = list(dict.fromkeys(numbers()))
    assert firsts == sorted(firsts), "the module's order changed"


@pytest.mark.parametrize("end", [Central.stop, Central.kill], ids=["SIGTERM", "SIGKILL"])
def test_what_came_while_central_was_away_arrives_in_order(site, counted, end):
    leaf = site.leaf()
    leaf.start()
    wait_until(lambda: leaf.acknowledged and count_of(counted), "first acknowledgements")
    end(site.central)
    from_leaf, from_module = len(leaf.acknowledged), count_of(counted)
    wait_until(
        lambda: len(leaf.acknowledged) > from_leaf + 500 and count_of(counted) > from_module + 5,
        "the edge to store without Central",
    )
    site.central.start()
    leaf.drain(20)
    check(site.central, leaf, 20)
    check_module(site, counted)


@pytest.mark.parametrize("end", [Edge.stop, Edge.kill], ids=["SIGTERM", "SIGKILL"])
def test_an_edge_started_without_central_goes_on_with_what_it_knows(site, counted, end):
    leaf = site.leaf()
    leaf.start()
    wait_until(lambda: leaf.acknowledged and count_of(counted), "first acknowledgements")
    site.central.kill()
    before = len(leaf.acknowledged)
    wait_until(lambda: len(leaf.acknowledged) > before + 100, "the edge to store without Central")
    end(site.edge)
    site.edge.start()
    from_leaf, from_module = len(leaf.acknowledged), count_of(counted)
    wait_until(lambda: len(leaf.acknowledged) > from_leaf + 100, "a known device to be let in without Central")
    wait_until(lambda: count_of(counted) > from_module + 2, "the module to run without Central")
    site.central.start()
    leaf.drain(20)
    check(site.central, leaf, 20)
    check_module(site, counted)


def dropped(edge) -> dict:
    """What the edge says it dropped, by endpoint and reason."""
    command = [PROGRAMS / "tidegate-edge", "system", "status", "--json", "--config", edge.config]
    status = subprocess.run(command, capture_output=True, timeout=20, check=True)
    return json.loads(status.stdout).get("messages_dropped", {})


def test_only_what_is_older_than_its_time_to_live_is_dropped(central, tmp_path):
    lifetime_secs = 3
    routes = {
        "short": "FROM /messages/* WHERE NOT is_defined(keep) INTO $upstream",
        "long": {"route": "FROM /messages/* WHERE keep = 'yes' INTO $upstream", "timeToLiveSecs": 7200, "priority": 1},
    }
    site = Site(central, tmp_path, manifest(routes, {}, time_to_live_secs=lifetime_secs), {})
    leaf = site.leaf()
    leaf.connect()
    try:
        wait_until(leaf.client.is_connected, "the leaf to be let in")
        leaf.send_one({"kind": "first"})
        wait_until(lambda: [m for m in central.messages(LEAF) if m["body"]["kind"] == "first"], "the way up to be open")
        central.stop()
        leaf.send_one({"kind": "old"})
        leaf.send_one({"kind": "kept"}, "keep=yes")
        old_at = time.monotonic()
        wait_until(lambda: time.monotonic() > old_at + lifetime_secs + 1, "the lifetime to pass")
        central.start()
        found = wait_until(lambda: {m["body"]["kind"] for m in central.messages(LEAF)} >= {"kept"}, "what is to be kept")
        leaf.send_one({"kind": "young"})
        wait_until(lambda: [m for m in central.messages(LEAF) if m["body"]["kind"] == "young"], "what is young")
        kinds = [message["body"]["kind"] for message in central.messages(LEAF)]
        assert found and sorted(kinds) == ["first", "kept", "young"], kinds
        wait_until(lambda: dropped(site.edge) == {"$upstream": {"ttl_expiry": 1}}, "what was dropped to be counted")
    finally:
        leaf.close()
        site.edge.stop()
