"""An edge module that sends `{"n": 0}`, `{"n": 1}`, … and writes each number that was acknowledged into a file."""

import asyncio
import json
import pathlib
import sys

from azure.iot.device import Message
from azure.iot.device.aio import IoTHubModuleClient

PAUSE_SECS = 0.1


async def main(acknowledged: pathlib.Path):
    client = IoTHubModuleClient.create_from_edge_environment()
    await client.connect()
    # Started again, it goes on where it was.
    number = len(acknowledged.read_text().split()) if acknowledged.exists() else 0
    while True:
        message = Message(json.dumps({"n": number}), content_encoding="utf-8", content_type="application/json")
        await client.send_message_to_output(message, "count")
        with acknowledged.open("a") as file:
            file.write(f"{number}\n")
        number += 1
        await asyncio.sleep(PAUSE_SECS)


asyncio.run(main(pathlib.Path(sys.argv[1])))
