"""The unmodified Python SDK behind an edge: as a downstream device, and as a module started by the edge."""

import asyncio
import json
import pathlib
import sys

from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient
import pytest

from conftest import Central, Edge, ServedForGood, wait_until
from deployments import QUEUED_TEMPLATE, apply_manifest, device_key, manifest

HERE = pathlib.Path(__file__).parent
ECHO_IMAGE = "example.test/echo"


@pytest.fixture(scope="module")
def site(shared_central, tmp_path_factory):
    """Central with one edge that runs the echo module, and one downstream device attached to it."""
    central = shared_central
    folder = tmp_path_factory.mktemp("edge")
    edge = Edge(folder, central, processes={ECHO_IMAGE: [sys.executable, str(HERE / "echo_module.py")]})
    central.call("PUT", f"/api/devices/{edge.device_id}", {"displayName": "Gateway", "type": ["iotEdge"]})
    routes = {
        "up": "FROM /messages/* WHERE NOT is_defined(forModule) INTO $upstream",
        "in": "FROM /messages WHERE forModule = 'echo' INTO BrokeredEndpoint(\"/modules/echo/inputs/in1\")",
    }
    apply_manifest(central, edge.device_id, manifest(routes, {"echo": f"{ECHO_IMAGE}:1.0"}, {"echo": {"level": 3}}))
    central.call("PUT", "/api/devices/leaf-1", {"displayName": "Leaf"})
    relationship = {"source": edge.device_id, "target": "leaf-1"}
    central.call("PUT", f"/api/devices/{edge.device_id}/relationships/leaf-1", relationship)
    edge.start()
    # Until then it cannot ask who a downstream device is, and says so.
    wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
    yield central, edge
    edge.stop()


async def connect_leaf(central: Central, edge: Edge, **options):
    # Until then it cannot ask who a downstream device is, and says so.
    wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")

    async def attempt():
        client = IoTHubDeviceClient.create_from_symmetric_key(
            symmetric_key=device_key(central, "leaf-1"),
            hostname=central.HOST,
            gateway_hostname=edge.HOST,
            device_id="leaf-1",
            server_verification_cert=edge.ca_pem,
            **options,
        )
        try:
            await client.connect()
            return client
        except Exception:
            await client.shutdown()
            return None

    # The edge takes a moment to learn of a device that was attached to it.
    async with asyncio.timeout(30):
        while (client := await attempt()) is None:
            assert edge.process.poll() is None, f"the edge ended:\n{edge.output()[-4000:]}"
            await asyncio.sleep(0.2)
        return client


# A device that is there before the first routes is told to come again.
@pytest.mark.complaints("connection ended .*no routes were seen yet")
async def test_leaf_through_the_edge(site):
    central, edge = site
    client = await connect_leaf(central, edge)
    for number in range(10):
        message = Message(json.dumps({"level": number}), content_encoding="utf-8", content_type="application/json")
        await client.send_message(message)
    found = wait_until(lambda: (m := central.messages("leaf-1")) and len(m) == 10 and m, "10 messages of the leaf")
    assert [message["body"]["level"] for message in sorted(found, key=lambda m: m["offset"])] == list(range(10))

    async def answer(request):
        await client.send_method_response(MethodResponse.create_from_method_request(request, 200, "pong"))

    client.on_method_request_received = answer
    result = await asyncio.to_thread(
        central.call, "POST", "/api/devices/leaf-1/commands/ping", {"connectionTimeout": 20}, 201
    )
    assert (result["responseCode"], result["response"]) == (200, "pong")

    await client.patch_twin_reported_properties({"place": "basement"})
    wait_until(
        lambda: central.call("GET", "/api/ext/v1/devices/leaf-1/twin", version=None)["properties"]["reported"].get("place")
        == "basement",
        "the leaf's reported property in Central",
    )
    await client.shutdown()


async def test_module_from_edge_environment(site):
    central, edge = site
    started = wait_until(
        lambda: [m for m in central.messages(edge.device_id) if m.get("module") == "echo"], "the module's first message", 60
    )
    assert started[0]["body"] == {"started": True}
    result = await asyncio.to_thread(
        central.call, "POST", f"/api/devices/{edge.device_id}/modules/echo/commands/any", {"request": 7, "connectionTimeout": 20}, 201
    )
    assert result["response"] == {"module": "echo", "got": 7}

    path = f"/api/devices/{edge.device_id}/modules/echo/properties"
    twin_path = f"/api/ext/v1/devices/{edge.device_id}/twin?module=echo"

    def acknowledged(value):
        twin = central.call("GET", twin_path, version=None)
        level = twin["properties"]["reported"].get("level", {})
        return level.get("value") == value and level.get("ac") == 200

    wait_until(lambda: acknowledged(3), "the module to acknowledge the manifest's value")
    central.call("PATCH", path, {"level": 4}, 202)
    wait_until(lambda: acknowledged(4), "the module to acknowledge the new value")


async def test_route_into_a_module_and_out_again(site):
    central, edge = site
    client = await connect_leaf(central, edge)
    message = Message(json.dumps({"hello": 1}), content_encoding="utf-8", content_type="application/json")
    message.custom_properties["forModule"] = "echo"
    await client.send_message(message)
    echoed = wait_until(
        lambda: [m for m in central.messages(edge.device_id) if m["properties"].get("via")], "the echoed message", 60
    )
    assert echoed[0]["body"] == {"hello": 1}
    assert echoed[0]["properties"]["via"] == "in1"
    assert not [m for m in central.messages("leaf-1") if m["body"] == {"hello": 1}], "the route did not name $upstream"
    await client.shutdown()


async def test_everything_still_arrives_when_the_leaf_renewed_its_token_and_the_edge_was_started_again(site):
    central, edge = site
    client = await connect_leaf(central, edge, sastoken_ttl=122, connection_retry_interval=1)
    served = ServedForGood(central, client, "leaf-1")
    await served.check()
    await served.reconnects(2)
    await served.check()
    reconnected = asyncio.create_task(served.reconnects(1))
    await asyncio.to_thread(edge.stop)
    edge.start()
    await reconnected
    await served.check()
    await client.shutdown()


async def test_queued_commands_reach_the_leaf_and_wait_while_it_or_the_edge_is_away(site):
    central, edge = site
    template = "dtmi:com:example:QueuedLeaf;1"
    central.call("PUT", f"/api/deviceTemplates/{template}", QUEUED_TEMPLATE)
    central.call("PATCH", "/api/devices/leaf-1", {"template": template})
    client = await connect_leaf(central, edge, connection_retry_interval=1)
    received: asyncio.Queue = asyncio.Queue()
    loop = asyncio.get_running_loop()
    client.on_message_received = lambda message: loop.call_soon_threadsafe(received.put_nowait, message)

    def restart(delay: int):
        central.call("POST", "/api/devices/leaf-1/commands/restart", {"request": delay}, 201)

    async def arrives(delay: int):
        message = await asyncio.wait_for(received.get(), 60)
        assert json.loads(message.data) == delay
        assert message.custom_properties["method-name"] == "restart"

    restart(1)
    await arrives(1)
    await client.disconnect()
    restart(2)
    await client.connect()
    await arrives(2)
    await asyncio.to_thread(edge.stop)
    restart(3)
    edge.start()
    await arrives(3)

    def states():
        runs = central.call("GET", "/api/ext/v1/devices/leaf-1/queuedCommands", version=None)["value"]
        return [run["state"] for run in runs]

    await asyncio.to_thread(wait_until, lambda: states() == ["answered"] * 3, "all runs answered")
    await client.shutdown()
