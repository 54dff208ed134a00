"""The unmodified Python SDK over WebSocket: device, module and provisioning, and through an HTTP proxy."""

import asyncio
import json
import pathlib
import sys

from azure.iot.device import Message, MethodResponse, ProxyOptions
from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient
import pytest
import socks

from conftest import Central, Edge, ServedForGood, derive_key, wait_until
from deployments import apply_manifest, attach, device_key, manifest
from proxy import HttpProxy

HERE = pathlib.Path(__file__).parent
ECHO_IMAGE = "example.test/echo"
USER, PASSWORD = "plant", "s3cret"


@pytest.fixture(scope="module", params=[False, True], ids=["open", "credentials"])
def proxy(request, tmp_path_factory):
    credentials = (USER, PASSWORD) if request.param else ()
    proxy = HttpProxy(tmp_path_factory.mktemp("proxy"), *credentials)
    yield proxy
    proxy.stop()


def options_for(proxy: HttpProxy, password: str | None = None) -> ProxyOptions:
    return ProxyOptions(
        proxy_type=socks.HTTP,
        proxy_addr=proxy.HOST,
        proxy_port=proxy.port,
        proxy_username=proxy.user,
        proxy_password=password or proxy.password,
    )


async def provision(central: Central, device_id: str, key: str, **options):
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host=central.HOST,
        registration_id=device_id,
        id_scope=central.id_scope(),
        symmetric_key=key,
        server_verification_cert=central.ca_pem,
        websockets=True,
        **options,
    )
    result = await client.register()
    assert (result.status, result.registration_state.assigned_hub) == ("assigned", central.HOST)


async def connect(central: Central, device_id: str, key: str, **options):
    client = IoTHubDeviceClient.create_from_symmetric_key(
        symmetric_key=key,
        hostname=central.HOST,
        device_id=device_id,
        server_verification_cert=central.ca_pem,
        websockets=True,
        **options,
    )
    await client.connect()
    return client


async def send(client, count: int):
    for number in range(count):
        message = Message(json.dumps({"number": number}), content_encoding="utf-8", content_type="application/json")
        await client.send_message(message)


def numbers(central: Central, device_id: str, count: int):
    found = wait_until(lambda: (m := central.messages(device_id)) and len(m) == count and m, f"{count} messages")
    return sorted(message["body"]["number"] for message in found)


async def test_provision_send_and_be_served_over_a_renewed_token(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-ws")
    await provision(central, "py-ws", key)
    client = await connect(central, "py-ws", key, sastoken_ttl=122, connection_retry_interval=1)
    await send(client, 20)
    assert numbers(central, "py-ws", 20) == list(range(20))
    served = ServedForGood(central, client, "py-ws")
    await served.check()
    await served.reconnects(1)
    await served.check()
    await client.shutdown()


async def test_a_message_as_large_as_may_be(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-ws-large")
    await provision(central, "py-ws-large", key)
    client = await connect(central, "py-ws-large", key)
    text = "x" * (200 * 1024)
    await client.send_message(Message(json.dumps({"text": text}), content_encoding="utf-8", content_type="application/json"))
    found = wait_until(lambda: central.messages("py-ws-large"), "the message")
    assert found[0]["body"] == {"text": text}
    await client.shutdown()


async def test_blocked_device_is_cut_and_refused(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-ws-blocked")
    await provision(central, "py-ws-blocked", key)
    client = await connect(central, "py-ws-blocked", key)
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()
    client.on_connection_state_change = lambda: loop.call_soon_threadsafe(lost.set) if not client.connected else None
    central.call("PATCH", "/api/devices/py-ws-blocked", {"enabled": False})
    await asyncio.wait_for(lost.wait(), 10)
    await client.shutdown()
    with pytest.raises(Exception):
        await connect(central, "py-ws-blocked", key)


async def test_through_a_proxy(shared_central, proxy):
    central = shared_central
    device = f"py-ws-proxy-{'credentials' if proxy.user else 'open'}"
    key = derive_key(central.group_key(), device)
    await provision(central, device, key, proxy_options=options_for(proxy))
    client = await connect(central, device, key, proxy_options=options_for(proxy))
    await send(client, 5)
    assert numbers(central, device, 5) == list(range(5))
    await client.shutdown()
    assert proxy.asked_for(f"{central.HOST}:443") == 2
    if proxy.user:
        with pytest.raises(Exception):
            await connect(central, device, key, proxy_options=options_for(proxy, "wrong"))


@pytest.fixture(scope="module")
def site(shared_central, proxy, tmp_path_factory):
    """An edge whose only way to Central is a proxy, with a module and a device that come over WebSocket."""
    central, name = shared_central, f"gateway-{'credentials' if proxy.user else 'open'}"
    # Written in escapes, as passwords in addresses are.
    credentials = f"{proxy.user}:s%33cret@" if proxy.user else ""
    agent = {"https_proxy": f"http://{credentials}{proxy.HOST}:{proxy.port}", "UpstreamProtocol": "MqttWs"}
    program = [sys.executable, str(HERE / "echo_module.py"), "websockets"]
    edge = Edge(tmp_path_factory.mktemp("edge"), central, name, processes={ECHO_IMAGE: program}, agent_env=agent)
    central.call("PUT", f"/api/devices/{name}", {"displayName": "Gateway", "type": ["iotEdge"]})
    apply_manifest(central, name, manifest({"up": "FROM /messages/* INTO $upstream"}, {"echo": f"{ECHO_IMAGE}:1.0"}))
    leaf = f"leaf-of-{name}"
    central.call("PUT", f"/api/devices/{leaf}", {"displayName": "Leaf"})
    attach(central, name, leaf)
    edge.start()
    # Until then it cannot ask who a downstream device is, and says so.
    wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
    yield central, edge, proxy, leaf
    edge.stop()
    assert PASSWORD not in edge.output() and "s%33cret" not in edge.output(), "the log shows the proxy's password"


async def test_an_edge_behind_a_proxy_serves_modules_and_devices_over_websocket(site):
    central, edge, proxy, leaf = site
    started = wait_until(
        lambda: [m for m in central.messages(edge.device_id) if m.get("module") == "echo"], "the module's first message", 60
    )
    assert started[0]["body"] == {"started": True}
    path = f"/api/devices/{edge.device_id}/modules/echo/commands/any"
    result = await asyncio.to_thread(central.call, "POST", path, {"request": 7, "connectionTimeout": 20}, 201)
    assert result["response"] == {"module": "echo", "got": 7}

    client = IoTHubDeviceClient.create_from_symmetric_key(
        symmetric_key=device_key(central, leaf),
        hostname=central.HOST,
        gateway_hostname=edge.HOST,
        device_id=leaf,
        server_verification_cert=edge.ca_pem,
        websockets=True,
    )
    await client.connect()
    await send(client, 10)
    assert numbers(central, leaf, 10) == list(range(10))

    async def answer(request):
        await client.send_method_response(MethodResponse.create_from_method_request(request, 200, "pong"))

    client.on_method_request_received = answer
    path = f"/api/devices/{leaf}/commands/ping"
    result = await asyncio.to_thread(central.call, "POST", path, {"connectionTimeout": 20}, 201)
    assert (result["responseCode"], result["response"]) == (200, "pong")
    await client.shutdown()
    # Provisioning, the hub's API, and the links of agent, hub, module and device.
    assert proxy.asked_for(f"{central.HOST}:443") >= 6
