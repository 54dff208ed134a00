"""The unmodified Node device SDK with a certificate of an authority, directly against Central."""

import json
import os
import pathlib
import subprocess

from certificates import Certificate
from conftest import wait_until

HERE = pathlib.Path(__file__).parent


def test_a_device_of_an_authority_registers_and_sends(shared_central, tmp_path):
    central, device = shared_central, "node-x509"
    root = Certificate.self_signed(tmp_path, "node-root")
    certificate = root.sign("node-middle", authority=True).sign(device)
    signing = {"primary": {"certificate": root.base64(), "verified": True}}
    attestation = {"type": "x509", "x509": {"signingCertificates": signing}}
    central.call("PUT", "/api/enrollmentGroups/node-x509", {"displayName": "n", "type": "iot", "attestation": attestation})
    env = {
        **os.environ,
        "DPS_HOST": central.HOST,
        "ID_SCOPE": central.id_scope(),
        "REG_ID": device,
        "CA_FILE": str(central.data / "ca.pem"),
        "CERT_FILE": str(certificate.chain),
        "KEY_FILE": str(certificate.key),
    }
    run = subprocess.run(["node", str(HERE / "certificate.js")], env=env, capture_output=True, text=True, timeout=60)
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert told == [{"event": "assigned", "value": central.HOST}, {"event": "sent", "value": None}], run.stderr
    found = wait_until(lambda: central.messages(device), "its message")
    assert found[0]["body"] == {"text": "node"}
