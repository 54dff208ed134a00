"""The unmodified Node device SDK uploads files, with the storage client it brings along."""

import json
import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent
# The client sends what is larger than 4 MiB in blocks.
SIZES = [5, 9 * 1024 * 1024 + 1]


def test_a_small_file_and_one_of_blocks(shared_central):
    central = shared_central
    central.call("PUT", "/api/devices/node-files", {"displayName": "node-files"})
    credentials = central.call("GET", "/api/devices/node-files/credentials")["symmetricKey"]
    ca = str(central.data / "ca.pem")
    env = {
        **os.environ,
        "CONNECTION_STRING": f"HostName={central.HOST};DeviceId=node-files;SharedAccessKey={credentials['primaryKey']}",
        "CA_FILE": ca,
        "NODE_EXTRA_CA_CERTS": ca,
        "SIZES": ",".join(map(str, SIZES)),
    }
    ran = subprocess.run(["node", str(HERE / "upload.js")], env=env, stdout=subprocess.PIPE, text=True, timeout=60)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert told == [{"event": "uploaded", "value": size} for size in SIZES]

    files = central.call("GET", "/api/ext/v1/devices/node-files/files", version=None)["value"]
    assert {file["name"]: file["bytes"] for file in files} == {f"logs/{size}.bin": size for size in SIZES}
    for file in files:
        url = f"https://{central.HOST}/api/ext/v1/devices/node-files/files/{file['id']}"
        bytes_of = central.session.get(url, timeout=40).content
        assert bytes_of == (b"tide" * (file["bytes"] // 4 + 1))[: file["bytes"]]
