"""Central killed while a device uploads a file: nothing half written is listed or left, and the device goes on with the same token."""

import http.client
import json
import ssl

from azure.iot.device.common.auth.sastoken import RenewableSasToken
from azure.iot.device.common.auth.signing_mechanism import SymmetricKeySigningMechanism
import pytest

from conftest import wait_until
from deployments import device_key

DEVICE = "uploader"
PART = b"x" * 65536

pytestmark = pytest.mark.complaints("cut an unfinished write", "left by an interrupted write")


def connect(central) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(central.HOST, 443, context=ssl.create_default_context(cadata=central.ca_pem), timeout=20)


def asked(central, path: str, body: dict) -> tuple[int, bytes]:
    key = SymmetricKeySigningMechanism(device_key(central, DEVICE))
    token = RenewableSasToken(f"{central.HOST}/devices/{DEVICE}", key, ttl=600)
    connection = connect(central)
    connection.request("POST", f"/devices/{DEVICE}/{path}?api-version=2021-04-12", json.dumps(body), {"Authorization": str(token)})
    answer = connection.getresponse()
    return answer.status, answer.read()


def unfinished(central) -> list:
    return list((central.data / "files").rglob(".*.tmp"))


def test_a_kill_halfway_leaves_nothing_and_the_upload_goes_on(central):
    central.call("PUT", f"/api/devices/{DEVICE}", {"displayName": DEVICE})
    status, body = asked(central, "files", {"blobName": "a.bin"})
    assert status == 200
    target = json.loads(body)
    uri = f"/{target['containerName']}/{target['blobName']}{target['sasToken']}"

    begun = connect(central)
    begun.putrequest("PUT", uri)
    begun.putheader("x-ms-blob-type", "BlockBlob")
    begun.putheader("Content-Length", str(2 * len(PART)))
    begun.endheaders()
    begun.send(PART)
    wait_until(lambda: unfinished(central), "the upload to be on the disk")
    central.kill()
    central.start()

    assert unfinished(central) == []
    assert central.call("GET", f"/api/ext/v1/devices/{DEVICE}/files", version=None)["value"] == []
    again = connect(central)
    again.request("PUT", uri, 2 * PART, {"x-ms-blob-type": "BlockBlob"})
    assert again.getresponse().status == 201
    # What was answered for is there, also after a kill.
    central.kill()
    central.start()
    done = {"correlationId": target["correlationId"], "isSuccess": True, "statusCode": 200}
    assert asked(central, "files/notifications", done)[0] == 204
    files = central.call("GET", f"/api/ext/v1/devices/{DEVICE}/files", version=None)["value"]
    assert [(file["name"], file["bytes"]) for file in files] == [("a.bin", 2 * len(PART))]
    url = f"https://{central.HOST}/api/ext/v1/devices/{DEVICE}/files/{files[0]['id']}"
    assert central.session.get(url, timeout=20).content == 2 * PART
