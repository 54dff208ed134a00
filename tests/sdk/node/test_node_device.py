"""The unmodified Node device SDK, directly against Central."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import wait_until
from deployments import QUEUED_TEMPLATE

HERE = pathlib.Path(__file__).parent


class NodeDevice:
    def __init__(self, central, device_id: str, group_key: str, transport: str = "Mqtt"):
        env = {
            **os.environ,
            "DPS_HOST": central.HOST,
            "ID_SCOPE": central.id_scope(),
            "REG_ID": device_id,
            "GROUP_KEY": group_key,
            "CA_FILE": str(central.data / "ca.pem"),
            "TRANSPORT": transport,
            "MODEL_ID": "dtmi:com:example:Thermostat;1",
        }
        self.process = subprocess.Popen(
            ["node", str(HERE / "device.js")], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def expect(self, event: str):
        """Reads on to the line of `event`; an error line or the end fails."""
        for line in self.process.stdout:
            told = json.loads(line)
            assert told["event"] != "error", told["value"]
            if told["event"] == event:
                return told["value"]
        raise AssertionError(f"the device ended before `{event}`")

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture(params=["Mqtt", "MqttWs"])
def device(shared_central, request):
    device = NodeDevice(shared_central, f"node-{request.param.lower()}", shared_central.group_key(), request.param)
    device.id = f"node-{request.param.lower()}"
    yield device
    device.process.kill()


def test_whole_scenario(shared_central, device):
    central = shared_central
    assert device.expect("assigned") == central.HOST
    device.expect("ready")
    found = wait_until(lambda: (m := central.messages(device.id)) and len(m) == 10 and m, "10 messages")
    assert sorted(message["body"]["number"] for message in found) == list(range(10))
    assert found[0]["properties"]["colour"] == "light blue"

    result = central.call("POST", f"/api/devices/{device.id}/commands/greet", {"request": "you", "connectionTimeout": 10}, 201)
    assert (result["responseCode"], result["response"]) == (200, {"hello": "you"})

    central.call("PATCH", f"/api/devices/{device.id}/properties?unmodeled=true", {"target": 5}, 202)
    assert device.expect("acknowledged") == 5
    twin = central.call("GET", f"/api/ext/v1/devices/{device.id}/twin", version=None)
    assert twin["properties"]["reported"]["firmware"] == "node"

    template = "dtmi:com:example:QueuedNode;1"
    central.call("PUT", f"/api/deviceTemplates/{template}", QUEUED_TEMPLATE)
    central.call("PATCH", f"/api/devices/{device.id}", {"template": template})
    for delay in (1, 2):
        central.call("POST", f"/api/devices/{device.id}/commands/restart", {"request": delay}, 201)
        assert device.expect("message") == {"command": "restart", "request": delay}
    runs = lambda: central.call("GET", f"/api/devices/{device.id}/commands/restart")["value"]
    wait_until(lambda: [run.get("responseCode") for run in runs()] == [200, 200], "both runs to be answered")
    device.close()
    assert device.process.returncode == 0


def test_wrong_key_is_refused(shared_central):
    device = NodeDevice(shared_central, "node-wrong", "bm90IHRoZSBrZXk=")
    with pytest.raises(AssertionError, match="(?i)unauthori|not authorized|refused"):
        device.expect("assigned")
    device.process.wait(20)
    assert device.process.returncode == 1
