"""The table of the Node SDK's methods, as for the Python SDK, over HTTP too."""

import concurrent.futures
import json
import os
import pathlib
import subprocess

from certificates import Certificate
from conftest import derive_key
from deployments import device_key
from table import Table, compare_or_write
from template import MODEL, TEMPLATE

HERE = pathlib.Path(__file__).parent
TRANSPORTS = ["MQTT", "WebSocket", "HTTP"]


def identities(central, folder, transport: str) -> dict:
    """What the program of one transport is, and what it pretends to be."""
    name = f"node-parity-{transport.lower()}"

    def device(suffix: str, **more) -> str:
        central.call("PUT", f"/api/devices/{name}-{suffix}", {"displayName": name, "template": TEMPLATE, **more})
        return f"{name}-{suffix}"

    def x509(certificate: Certificate) -> dict:
        return {"cert": certificate.chain.read_text(), "key": certificate.key.read_text()}

    good, certified, off = device("key"), device("x509"), device("off", enabled=False)
    certificate, strange = (Certificate.self_signed(folder, f"{name}-{kind}", certified) for kind in ("own", "strange"))
    attestation = {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": certificate.base64()}}}}
    central.call("PUT", f"/api/devices/{certified}/attestation", attestation)
    body = {"displayName": name, "type": "iot", "enabled": False, "attestation": {"type": "symmetricKey"}}
    group = central.call("PUT", f"/api/enrollmentGroups/{name}", body)["attestation"]["symmetricKey"]["primaryKey"]
    return {
        "good": {"id": good, "key": device_key(central, good)},
        "certified": {"id": certified, "x509": x509(certificate)},
        "off": {"id": off, "key": device_key(central, off)},
        "offGroup": {"id": f"{name}-new", "key": derive_key(group, f"{name}-new")},
        "strange": {"id": certified, "x509": x509(strange)},
    }


def rows_of(central, folder, transport: str) -> list[dict]:
    config = {
        "host": central.HOST,
        "idScope": central.id_scope(),
        "transport": transport,
        "identities": identities(central, folder, transport),
        "adminToken": central.session.headers["Authorization"],
        "caFile": str(central.data / "ca.pem"),
        "template": TEMPLATE,
    }
    # Its provisioning over HTTP and its uploads have no option for an authority.
    env = {**os.environ, "CONFIG": json.dumps(config), "NODE_EXTRA_CA_CERTS": config["caFile"]}
    run = subprocess.run(["node", str(HERE / "clients.js")], env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def original(client: str, situation: str, transport: str) -> str:
    """The error of the original: what the SDK makes of CONNACK 5, of 401, and of 403."""
    if situation.startswith("disabled") and "Provisioning" in client:
        return "not published"
    if transport != "HTTP":
        return "Error" if "Provisioning" in client else "UnauthorizedError"
    return {"disabled device": "IotHubQuotaExceededError", "unknown device": "DeviceNotFoundError"}.get(
        situation, "UnauthorizedError"
    )


def packages() -> dict[str, str]:
    wanted = json.loads((HERE.parent / "node/package.json").read_text())["dependencies"]
    return {f"{name} (Node)": version for name, version in wanted.items()}


def test_every_public_method_of_the_node_sdk_over_every_way(shared_central, tmp_path):
    central, table = shared_central, Table()
    central.call("PUT", f"/api/deviceTemplates/{TEMPLATE}", MODEL)
    with concurrent.futures.ThreadPoolExecutor(len(TRANSPORTS)) as threads:
        told = list(threads.map(lambda transport: rows_of(central, tmp_path, transport), TRANSPORTS))
    for (members, *rows) in told:
        for row in rows:
            if row["client"].endswith(" errors"):
                key = row["client"], row["member"], row["way"]
                table.originals[key] = original(*key)
            table.record(*(row[name] for name in ("client", "member", "way", "outcome", "detail")))
    assert not (found := table.unexplained()), "\n".join(found)
    for client, names in told[0][0]["members"].items():
        assert not (left := set(names) - set(table.outcomes[client])), f"{client}: not covered: {left}"
    compare_or_write("Node", table.outcomes, packages())
