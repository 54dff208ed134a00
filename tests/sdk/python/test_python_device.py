"""The unmodified Python device SDK, directly against Central."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import urllib.parse

from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient, ProvisioningDeviceClient
import pytest
import requests

from conftest import Central, ServedForGood, derive_key, wait_until
from deployments import QUEUED_TEMPLATE

MODEL_ID = "dtmi:com:example:Thermostat;1"


async def provision(central: Central, device_id: str, key: str, payload=None):
    client = ProvisioningDeviceClient.create_from_symmetric_key(
        provisioning_host=central.HOST,
        registration_id=device_id,
        id_scope=central.id_scope(),
        symmetric_key=key,
        server_verification_cert=central.ca_pem,
    )
    client.provisioning_payload = payload
    return await client.register()


async def connect(central: Central, device_id: str, key: str, host: str | None = None, **options):
    client = IoTHubDeviceClient.create_from_symmetric_key(
        symmetric_key=key,
        hostname=host or central.HOST,
        device_id=device_id,
        server_verification_cert=central.ca_pem,
        product_info=MODEL_ID,
        **options,
    )
    await client.connect()
    return client


async def test_provision_send_and_read_back(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-telemetry")
    result = await provision(central, "py-telemetry", key, {"modelId": MODEL_ID})
    assert result.status == "assigned"
    assert result.registration_state.assigned_hub == central.HOST
    assert result.registration_state.device_id == "py-telemetry"

    client = await connect(central, "py-telemetry", key)
    for number in range(20):
        message = Message(json.dumps({"number": number}), content_encoding="utf-8", content_type="application/json")
        message.custom_properties["batch id"] = "a/b&c"
        await client.send_message(message)
    await client.shutdown()

    found = wait_until(lambda: (m := central.messages("py-telemetry")) and len(m) == 20 and m, "20 messages")
    assert sorted(message["body"]["number"] for message in found) == list(range(20))
    assert found[0]["properties"]["batch id"] == "a/b&c"
    device = central.call("GET", "/api/devices/py-telemetry")
    assert device["provisioned"] is True


async def test_wrong_key_is_refused(shared_central):
    wrong = derive_key("bm90IHRoZSBrZXk=", "py-wrong")
    with pytest.raises(Exception):
        await provision(shared_central, "py-wrong", wrong)


async def test_twin_both_ways(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-twin")
    await provision(central, "py-twin", key)
    client = await connect(central, "py-twin", key)
    patches: asyncio.Queue = asyncio.Queue()
    loop = asyncio.get_running_loop()
    client.on_twin_desired_properties_patch_received = lambda patch: loop.call_soon_threadsafe(patches.put_nowait, patch)

    twin = await client.get_twin()
    assert "$version" in twin["desired"] and "$version" in twin["reported"]

    await client.patch_twin_reported_properties({"firmware": "1.2", "site": {"hall": 2}})
    stored = central.call("GET", "/api/ext/v1/devices/py-twin/twin", version=None)
    assert stored["properties"]["reported"]["firmware"] == "1.2"

    # Subscribing happens on the first get; a desired change then arrives as a patch.
    await asyncio.to_thread(
        central.call, "PATCH", "/api/devices/py-twin/properties?unmodeled=true", {"target": 22}, 202
    )
    patch = await asyncio.wait_for(patches.get(), 10)
    assert patch["target"] == 22 and patch["$version"] >= 2
    acknowledgement = {"target": {"value": 22, "ac": 200, "av": patch["$version"], "ad": "done"}}
    await client.patch_twin_reported_properties(acknowledgement)
    properties = central.call("GET", "/api/devices/py-twin/properties?unmodeled=true")
    assert properties["target"] == 22
    assert properties["$metadata"]["target"]["ackCode"] == 200
    await client.shutdown()


async def test_direct_method(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-method")
    await provision(central, "py-method", key)
    client = await connect(central, "py-method", key)

    async def answer(request):
        await client.send_method_response(MethodResponse.create_from_method_request(request, 200, {"echo": request.payload}))

    client.on_method_request_received = answer
    # The handler's subscription is under way; the call waits for the device to be ready for it.
    result = await asyncio.to_thread(
        central.call, "POST", "/api/devices/py-method/commands/echo", {"request": [1, 2], "connectionTimeout": 10}, 201
    )
    assert result["responseCode"] == 200
    assert result["response"] == {"echo": [1, 2]}
    await client.shutdown()

    refused = central.call("POST", "/api/devices/py-method/commands/echo", {"request": 1}, 404)
    assert "error" in refused


async def test_blocked_device_is_cut_and_refused(shared_central):
    central = shared_central
    key = derive_key(central.group_key(), "py-blocked")
    await provision(central, "py-blocked", key)
    client = await connect(central, "py-blocked", key)
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()
    client.on_connection_state_change = lambda: loop.call_soon_threadsafe(lost.set) if not client.connected else None
    central.call("PATCH", "/api/devices/py-blocked", {"enabled": False})
    await asyncio.wait_for(lost.wait(), 10)
    await client.shutdown()
    with pytest.raises(Exception):
        await connect(central, "py-blocked", key)


async def served_for_good(central: Central, device_id: str):
    """A device that listens to all there is, and a check that it is served: it subscribes once in its life."""
    key = derive_key(central.group_key(), device_id)
    await provision(central, device_id, key)
    # The SDK renews its token, by reconnecting, two minutes before its end: two seconds from now, and again.
    client = await connect(central, device_id, key, sastoken_ttl=122, connection_retry_interval=1)
    return client, ServedForGood(central, client, device_id)


async def test_everything_still_arrives_when_the_token_was_renewed(shared_central):
    client, served = await served_for_good(shared_central, "py-renewal")
    await served.check()
    await served.reconnects(2)
    await served.check()
    await client.shutdown()


async def test_everything_still_arrives_when_the_connection_was_cut(shared_central):
    central = shared_central
    client, served = await served_for_good(central, "py-cut")
    await served.check()
    reconnected = asyncio.create_task(served.reconnects(1))
    # Whoever connects under the same name takes the place.
    other = await connect(central, "py-cut", derive_key(central.group_key(), "py-cut"))
    await other.disconnect()
    await other.shutdown()
    await reconnected
    await served.check()
    await client.shutdown()


async def test_everything_still_arrives_when_central_was_started_again(shared_central):
    central = shared_central
    client, served = await served_for_good(central, "py-restart")
    await served.check()
    reconnected = asyncio.create_task(served.reconnects(1))
    await asyncio.to_thread(central.stop)
    await asyncio.to_thread(central.start)
    await reconnected
    await served.check()
    await client.shutdown()


async def with_queue(central: Central, device_id: str):
    """A device with a template that has a queued command, and what it gets."""
    template = "dtmi:com:example:QueuedTemplate;1"
    central.call("PUT", f"/api/deviceTemplates/{template}", QUEUED_TEMPLATE)
    central.call("PUT", f"/api/devices/{device_id}", {"template": template})
    key = derive_key(central.group_key(), device_id)
    await provision(central, device_id, key)
    return key, asyncio.Queue()


async def listen(central: Central, device_id: str, key: str, received: asyncio.Queue, **options):
    client = await connect(central, device_id, key, **options)
    loop = asyncio.get_running_loop()
    client.on_message_received = lambda message: loop.call_soon_threadsafe(received.put_nowait, message)
    return client


def restart(central: Central, device_id: str, delay: int) -> str:
    run = central.call("POST", f"/api/devices/{device_id}/commands/restart", {"request": delay}, 201)
    assert "response" not in run and "responseCode" not in run
    return run["id"]


def states(central: Central, device_id: str) -> list[str]:
    runs = central.call("GET", f"/api/ext/v1/devices/{device_id}/queuedCommands", version=None)
    return [run["state"] for run in reversed(runs["value"])]


async def test_queued_commands_wait_for_the_device_and_are_gone_once_it_has_them(shared_central):
    central = shared_central
    key, received = await with_queue(central, "py-queued")
    ids = [restart(central, "py-queued", delay) for delay in (1, 2)]
    assert states(central, "py-queued") == ["queued", "queued"]
    client = await listen(central, "py-queued", key, received)
    for delay in (1, 2):
        message = await asyncio.wait_for(received.get(), 20)
        assert json.loads(message.data) == delay
        assert message.custom_properties["method-name"] == "restart"
        assert message.message_id == ids[delay - 1]
        assert message.content_type == "application/json"
    await asyncio.to_thread(wait_until, lambda: states(central, "py-queued") == ["answered"] * 2, "both runs answered")
    ids.append(restart(central, "py-queued", 3))
    assert (await asyncio.wait_for(received.get(), 20)).message_id == ids[2]
    await client.shutdown()
    history = central.call("GET", "/api/devices/py-queued/commands/restart")["value"]
    assert [run["id"] for run in history] == list(reversed(ids))


async def test_queued_commands_arrive_after_a_reconnect_and_after_a_restart_of_central(shared_central):
    central = shared_central
    key, received = await with_queue(central, "py-queue-restart")
    client = await listen(central, "py-queue-restart", key, received, connection_retry_interval=1)
    restart(central, "py-queue-restart", 1)
    assert json.loads((await asyncio.wait_for(received.get(), 20)).data) == 1
    # Whoever connects under the same name takes the place; the SDK comes back and subscribes to nothing.
    other = await connect(central, "py-queue-restart", key)
    await other.disconnect()
    await other.shutdown()
    restart(central, "py-queue-restart", 2)
    assert json.loads((await asyncio.wait_for(received.get(), 30)).data) == 2
    await client.disconnect()
    restart(central, "py-queue-restart", 3)
    await asyncio.to_thread(central.kill)
    await asyncio.to_thread(central.start)
    await client.connect()
    assert json.loads((await asyncio.wait_for(received.get(), 30)).data) == 3
    done = ["answered"] * 3
    await asyncio.to_thread(wait_until, lambda: states(central, "py-queue-restart") == done, "all runs answered")
    await client.shutdown()


def device_token(central: Central, device_id: str, key: str) -> str:
    audience, expiry = f"{central.HOST}%2Fdevices%2F{device_id}", int(time.time()) + 600
    mac = hmac.new(base64.b64decode(key), f"{audience}\n{expiry}".encode(), hashlib.sha256).digest()
    signature = urllib.parse.quote(base64.b64encode(mac), safe="")
    return f"SharedAccessSignature sr={audience}&sig={signature}&se={expiry}"


async def test_queued_commands_over_https_are_locked_abandoned_rejected_and_completed(shared_central):
    central = shared_central
    key, _ = await with_queue(central, "py-queue-https")
    for delay in (1, 2):
        restart(central, "py-queue-https", delay)
    path = f"https://{central.HOST}/devices/py-queue-https/messages/deviceBound"

    def call(method: str, suffix: str = "", query: str = "", expect: int = 204) -> requests.Response:
        url = f"{path}{suffix}?api-version=2021-04-12{query}"
        headers = {"Authorization": device_token(central, "py-queue-https", key)}
        answer = requests.request(method, url, headers=headers, verify=str(central.data / "ca.pem"), timeout=20)
        assert answer.status_code == expect, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    first = call("GET", expect=200)
    assert first.json() == 1 and first.headers["iothub-app-method-name"] == "restart"
    lock = first.headers["ETag"].strip('"')
    call("POST", f"/{lock}/abandon")
    call("DELETE", f"/{lock}", expect=412)
    again = call("GET", expect=200)
    assert again.json() == 1 and again.headers["iothub-deliverycount"] == "2"
    second = call("GET", expect=200)
    assert second.json() == 2
    call("GET")
    call("DELETE", "/" + again.headers["ETag"].strip('"'), "&reject")
    call("DELETE", "/" + second.headers["ETag"].strip('"'))
    assert states(central, "py-queue-https") == ["refused", "answered"]
