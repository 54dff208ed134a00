"""The unmodified Python SDK uploads a file: it asks where to, and tells that it is done; the upload is the user's own request."""

import http.client
import ssl
from urllib.parse import quote

from azure.iot.device.aio import IoTHubDeviceClient
import pytest

from deployments import device_key

DEVICE = "py-files"


def upload(central, target, body: bytes) -> int:
    context = ssl.create_default_context(cadata=central.ca_pem)
    connection = http.client.HTTPSConnection(target["hostName"], 443, context=context, timeout=20)
    path = f"/{target['containerName']}/{quote(target['blobName'])}{target['sasToken']}"
    connection.request("PUT", path, body, {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-04-10"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


async def test_a_file_from_the_question_where_to_its_listing(shared_central):
    central = shared_central
    central.call("PUT", f"/api/devices/{DEVICE}", {"displayName": DEVICE})
    client = IoTHubDeviceClient.create_from_symmetric_key(
        symmetric_key=device_key(central, DEVICE),
        hostname=central.HOST,
        device_id=DEVICE,
        server_verification_cert=central.ca_pem,
    )
    await client.connect()
    target = await client.get_storage_info_for_blob("logs/to day.txt")
    assert upload(central, target, b"high tide") == 201
    await client.notify_blob_upload_status(target["correlationId"], True, 200, "ok")
    files = central.call("GET", f"/api/ext/v1/devices/{DEVICE}/files", version=None)["value"]
    assert [(file["name"], file["bytes"]) for file in files] == [("logs/to day.txt", 9)]
    assert upload(central, target, b"later") == 403

    failed = await client.get_storage_info_for_blob("failed.txt")
    await client.notify_blob_upload_status(failed["correlationId"], False, 500, "no such file")
    assert upload(central, failed, b"later") == 403
    # The SDK hears refusals as failed requests.
    with pytest.raises(Exception):
        await client.notify_blob_upload_status(failed["correlationId"], True, 200, "ok")
    await client.shutdown()
