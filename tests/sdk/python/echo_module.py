"""An edge module on the unmodified SDK, started by the edge as a plain process."""

import asyncio
import json
import sys

from azure.iot.device import Message, MethodResponse
from azure.iot.device.aio import IoTHubModuleClient


async def main():
    client = IoTHubModuleClient.create_from_edge_environment(websockets="websockets" in sys.argv)

    async def on_method(request):
        await client.send_method_response(
            MethodResponse.create_from_method_request(request, 200, {"module": "echo", "got": request.payload})
        )

    async def on_message(message):
        # What comes to the input goes out again, so that module-to-module routes can be seen from the cloud.
        forwarded = Message(message.data, content_encoding="utf-8", content_type="application/json")
        forwarded.custom_properties["via"] = message.input_name
        await client.send_message_to_output(forwarded, "echoed")

    async def on_patch(patch):
        version = patch.pop("$version")
        await client.patch_twin_reported_properties(
            {name: {"value": value, "ac": 200, "av": version, "ad": "ok"} for name, value in patch.items()}
        )

    # What waits for the module comes as soon as it is connected, so it listens before.
    client.on_method_request_received = on_method
    client.on_message_received = on_message
    client.on_twin_desired_properties_patch_received = on_patch
    await client.connect()
    twin = await client.get_twin()
    await on_patch(dict(twin["desired"]))
    started = Message(json.dumps({"started": True}), content_encoding="utf-8", content_type="application/json")
    await client.send_message_to_output(started, "status")
    await asyncio.Event().wait()


asyncio.run(main())
