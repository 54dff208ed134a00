"""The unmodified Python SDK with certificates: at the hub and at the provisioning service, and whom they keep out."""

import base64
import json
import pathlib
import subprocess

from azure.iot.device import Message
from azure.iot.device.aio import IoTHubDeviceClient, IoTHubModuleClient, ProvisioningDeviceClient
import pytest
import requests

from certificates import Certificate
from conftest import API_VERSION, Central, Edge, wait_until
from deployments import apply_manifest, manifest


def attest(central: Central, device_id: str, primary: Certificate, secondary: Certificate | None = None):
    both = {"primary": {"certificate": primary.base64()}}
    if secondary:
        both["secondary"] = {"certificate": secondary.base64()}
    central.call("PUT", f"/api/devices/{device_id}", {"displayName": device_id})
    return central.call("PUT", f"/api/devices/{device_id}/attestation", {"type": "x509", "x509": {"clientCertificates": both}})


def device_client(central: Central, device_id: str, certificate: Certificate) -> IoTHubDeviceClient:
    return IoTHubDeviceClient.create_from_x509_certificate(
        x509=certificate.x509(),
        hostname=central.HOST,
        device_id=device_id,
        server_verification_cert=central.ca_pem,
        connection_retry=False,
    )


async def sends(central: Central, client, source: str, text: str):
    await client.connect()
    await client.send_message(Message(json.dumps({"text": text}), content_encoding="utf-8", content_type="application/json"))
    await client.shutdown()
    wait_until(lambda: any(m["body"] == {"text": text} for m in central.messages(source)), f"the message {text}")


async def refused(client):
    with pytest.raises(Exception) as told:
        await client.connect()
    await client.shutdown()
    return told.value


@pytest.mark.parametrize("key", ["ec", "rsa"])
async def test_a_device_with_certificates_of_its_own_changes_over_from_one_to_the_other(shared_central, tmp_path, key):
    central, device = shared_central, f"own-{key}"
    first, second, third = (Certificate.self_signed(tmp_path, f"{device}-{n}", device, key) for n in range(3))
    shown = attest(central, device, first)
    thumbprint = shown["x509"]["clientCertificates"]["primary"]["info"]["sha1Thumbprint"]
    assert thumbprint == first.thumbprint("sha1").replace(":", "")
    await sends(central, device_client(central, device, first), device, "first")
    await refused(device_client(central, device, second))

    # The second beside the first, then in its place: at no time is there none.
    attest(central, device, first, second)
    await sends(central, device_client(central, device, first), device, "first again")
    await sends(central, device_client(central, device, second), device, "second")
    attest(central, device, third, second)
    await sends(central, device_client(central, device, second), device, "second again")
    await refused(device_client(central, device, first))


async def test_a_module_has_a_certificate_of_its_own(shared_central, tmp_path):
    """Known by its thumbprint, written as people write them, or by an authority's signature on its name."""
    central, device = shared_central, "own-module"
    of_device, of_module = (Certificate.self_signed(tmp_path, name) for name in ("of-device", "of-module"))
    attest(central, device, of_device)
    put_module(central, of_device, device, "m", {
        "type": "selfSigned",
        "x509Thumbprint": {"primaryThumbprint": of_module.thumbprint("sha256").lower(), "secondaryThumbprint": None},
    })

    def client(certificate: Certificate) -> IoTHubModuleClient:
        return IoTHubModuleClient.create_from_x509_certificate(
            x509=certificate.x509(),
            hostname=central.HOST,
            device_id=device,
            module_id="m",
            server_verification_cert=central.ca_pem,
            connection_retry=False,
        )

    await sends(central, client(of_module), device, "from the module")
    await refused(client(of_device))
    put_module(central, of_device, device, "m", {
        "type": "selfSigned",
        "x509Thumbprint": {"secondaryThumbprint": of_device.thumbprint("sha1")},
    })
    await sends(central, client(of_device), device, "from the module with another")
    await refused(client(of_module))


def put_module(central: Central, certificate: Certificate, device: str, module: str, authentication: dict):
    """As a device does it, over HTTPS with its own certificate."""
    answer = requests.put(
        f"https://{central.HOST}/devices/{device}/modules/{module}",
        params={"api-version": "2021-04-12"},
        json={"moduleId": module, "deviceId": device, "authentication": authentication},
        cert=(str(certificate.chain), str(certificate.key)),
        verify=str(central.data / "ca.pem"),
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["authentication"]["type"] == "selfSigned"


def group_with_certificates(central: Central, group: str, kind: str = "iot"):
    body = {"displayName": group, "type": kind, "attestation": {"type": "x509"}}
    central.call("PUT", f"/api/enrollmentGroups/{group}", body)
    return f"/api/enrollmentGroups/{group}/certificates"


def verify(central: Central, path: str, authority: Certificate):
    code = central.call("POST", f"{path}/generateVerificationCode")["verificationCode"]
    central.call("POST", f"{path}/verify", {"certificate": authority.sign(code).base64()}, expect=204)


async def provision(central: Central, registration: str, certificate: Certificate):
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host=central.HOST,
        registration_id=registration,
        id_scope=central.id_scope(),
        x509=certificate.x509(),
        server_verification_cert=central.ca_pem,
    )
    return await client.register()


async def test_an_authority_that_proved_its_key_lets_its_devices_in(shared_central, tmp_path):
    central, group = shared_central, "certified"
    root = Certificate.self_signed(tmp_path, "root")
    middle = root.sign("middle", authority=True, key="rsa")
    near, deep = root.sign("near-1"), middle.sign("deep-1", key="rsa")
    primary = group_with_certificates(central, group) + "/primary"
    shown = central.call("PUT", primary, {"certificate": root.base64()})
    assert shown["verified"] is False and "certificate" not in shown
    assert shown["info"]["sha1Thumbprint"] == root.thumbprint("sha1").replace(":", "")
    with pytest.raises(Exception):
        await provision(central, "near-1", near)  # nobody has proved anything yet

    code = central.call("POST", f"{primary}/generateVerificationCode")["verificationCode"]
    stranger = Certificate.self_signed(tmp_path, "stranger", "root")
    for wrong in (stranger.sign(code), root.sign("another-name"), Certificate.self_signed(tmp_path, code)):
        central.call("POST", f"{primary}/verify", {"certificate": wrong.base64()}, expect=422)
    verify(central, primary, root)
    assert central.call("GET", primary)["verified"] is True

    for certificate in (near, deep):
        device = certificate.name
        registered = await provision(central, device, certificate)
        assert registered.status == "assigned" and registered.registration_state.device_id == device
        await sends(central, device_client(central, device, certificate), device, f"from {device}")
    await refused(device_client(central, "near-1", deep))
    with pytest.raises(Exception):
        await provision(central, "near-1", deep)  # the certificate is for the name in it
    await refused(device_client(central, "near-1", stranger.sign("near-1")))

    # The next authority beside the first; then the first goes, and what it signed with it.
    following = Certificate.self_signed(tmp_path, "following")
    secondary = primary.replace("primary", "secondary")
    central.call("PUT", secondary, {"certificate": following.base64(), "verified": True})
    renewed = following.sign("deep-1")
    central.call("DELETE", primary, expect=204)
    await refused(device_client(central, "near-1", near))
    await sends(central, device_client(central, "deep-1", renewed), "deep-1", "under the next authority")
    central.call("GET", primary, expect=404)
    await provision(central, "near-2", following.sign("near-2"))


async def test_an_individual_enrollment_has_a_certificate(shared_central, tmp_path):
    central, device = shared_central, "individual-1"
    certificate, other = (Certificate.self_signed(tmp_path, name, device) for name in ("right", "wrong"))
    attest(central, device, certificate)
    registered = await provision(central, device, certificate)
    assert registered.status == "assigned" and registered.registration_state.assigned_hub == central.HOST
    assert central.call("GET", f"/api/devices/{device}")["provisioned"] is True
    with pytest.raises(Exception):
        await provision(central, device, other)
    await sends(central, device_client(central, device, certificate), device, "an individual")


def test_registration_over_https_names_the_certificate(shared_central, tmp_path):
    """With `requests`, as a client of the REST interface does; and with curl, which offers HTTP/2 as browsers do."""
    central, device = shared_central, "https-1"
    root = Certificate.self_signed(tmp_path, "https-root")
    path = group_with_certificates(central, "over-https") + "/primary"
    central.call("PUT", path, {"certificate": root.base64(), "verified": True})
    certificate = root.sign(device)
    base = f"https://{central.HOST}/{central.id_scope()}/registrations/{device}"
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(central.data / "ca.pem")
        session.cert = (str(certificate.chain), str(certificate.key))
        version = {"api-version": "2021-06-01"}
        answer = session.put(f"{base}/register", params=version, json={"registrationId": device}, timeout=20)
        assert answer.status_code == 202, answer.text
        operation = answer.json()["operationId"]
        state = session.get(f"{base}/operations/{operation}", params=version, timeout=20).json()["registrationState"]
        assert state["status"] == "assigned" and state["deviceId"] == device
        assert state["x509"]["enrollmentGroupId"] == "over-https"
        assert state["x509"]["certificateInfo"]["sha256Thumbprint"] == certificate.thumbprint("sha256").replace(":", "")
        with requests.Session() as stranger:
            stranger.trust_env, stranger.verify = False, str(central.data / "ca.pem")
            answer = stranger.put(f"{base}/register", params=version, json={}, timeout=20)
            assert answer.status_code == 401, answer.text

    sent = subprocess.run(
        ["curl", "--silent", "--fail-with-body", "--cacert", str(central.data / "ca.pem"), "--http2",
         "--cert", str(certificate.chain), "--key", str(certificate.key), "-H", "Content-Type: application/json",
         "-w", "%{http_version} %{http_code}", "-d", '{"text": "curl"}',
         f"https://{central.HOST}/devices/{device}/messages/events?api-version=2021-04-12"],
        capture_output=True, text=True, timeout=30)
    assert sent.stdout == "2 204", sent.stdout + sent.stderr
    wait_until(lambda: any(m["body"] == {"text": "curl"} for m in central.messages(device)), "curl's message")


async def test_keys_and_certificates_do_not_stand_for_one_another(shared_central, tmp_path):
    central, device = shared_central, "one-kind"
    certificate = Certificate.self_signed(tmp_path, "one-kind")
    central.call("PUT", f"/api/devices/{device}", {"displayName": device})
    key = central.call("GET", f"/api/devices/{device}/credentials")["symmetricKey"]["primaryKey"]

    def with_key() -> IoTHubDeviceClient:
        return IoTHubDeviceClient.create_from_symmetric_key(
            symmetric_key=key, hostname=central.HOST, device_id=device,
            server_verification_cert=central.ca_pem, connection_retry=False)

    await sends(central, with_key(), device, "with a key")
    await refused(device_client(central, device, certificate))
    attest(central, device, certificate)
    await sends(central, device_client(central, device, certificate), device, "with a certificate")
    await refused(with_key())
    credentials = central.call("GET", f"/api/devices/{device}/credentials")
    assert "symmetricKey" not in credentials
    assert credentials["x509"]["clientCertificates"]["primary"]["info"]["sha1Thumbprint"]

    # Whoever has the certificate and not its key has nothing: the handshake fails.
    stolen = Certificate.self_signed(tmp_path, "stolen")
    with pytest.raises(requests.RequestException):
        requests.post(f"https://{central.HOST}/devices/{device}/messages/events", params={"api-version": API_VERSION},
                      data="{}", cert=(str(certificate.chain), str(stolen.key)),
                      verify=str(central.data / "ca.pem"), timeout=20)


async def test_a_device_with_a_certificate_behind_an_edge(shared_central, tmp_path):
    """The edge knows it by the thumbprint that Central tells it."""
    central, device = shared_central, "leaf-x509"
    edge = Edge(tmp_path, central, device_id="gateway-x509")
    central.call("PUT", f"/api/devices/{edge.device_id}", {"displayName": "Gateway", "type": ["iotEdge"]})
    apply_manifest(central, edge.device_id, manifest({"up": "FROM /messages/* INTO $upstream"}, {}, {}))
    certificate = Certificate.self_signed(tmp_path, device)
    attest(central, device, certificate)
    central.call("PUT", f"/api/devices/{edge.device_id}/relationships/{device}", {"source": edge.device_id, "target": device})

    def client(shown: Certificate) -> IoTHubDeviceClient:
        return IoTHubDeviceClient.create_from_x509_certificate(
            x509=shown.x509(), hostname=central.HOST, gateway_hostname=edge.HOST, device_id=device,
            server_verification_cert=edge.ca_pem, connection_retry=False)

    edge.start()
    try:
        wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
        await sends(central, client(certificate), device, "from behind the edge")
    finally:
        edge.stop()


@pytest.mark.parametrize("source", ["dps", "manual"])
async def test_an_edge_with_a_certificate(shared_central, tmp_path, source):
    """It registers, makes its module identities and connects; its modules have keys as ever."""
    central, device = shared_central, f"edge-x509-{source}"
    certificate = Certificate.self_signed(tmp_path, device)
    central.call("PUT", f"/api/devices/{device}", {"displayName": device, "type": ["iotEdge"]})
    central.call("PUT", f"/api/devices/{device}/attestation",
                 {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": certificate.base64()}}}})
    apply_manifest(central, device, manifest({"up": "FROM /messages/* INTO $upstream"}, {}, {}))
    edge = Edge(tmp_path, central, device_id=device, registration={"idScope": central.id_scope(), "symmetricKey": ""})
    proof = [
        'method = "x509"', f'identity_cert = "file://{certificate.chain}"', f'identity_pk = "file://{certificate.key}"'
    ]
    if source == "dps":
        section = ['source = "dps"', f'global_endpoint = "https://{central.HOST}"', f'id_scope = "{central.id_scope()}"',
                   "[provisioning.attestation]", f'registration_id = "{device}"', *proof]
    else:
        section = ['source = "manual"', f'iothub_hostname = "{central.HOST}"', f'device_id = "{device}"',
                   "[provisioning.authentication]", *proof]
    before, rest = edge.config.read_text().split("[provisioning]\n")
    after = rest[rest.index("[tidegate]"):]
    edge.config.write_text("\n".join([before, "[provisioning]", *section, after]))
    edge.start()
    try:
        wait_until(lambda: "routes in force" in edge.output(), "the edge to have its deployment")
    finally:
        edge.stop()
    assert central.call("GET", f"/api/devices/{device}")["provisioned"] is (source == "dps")


def test_the_guide_makes_certificates_that_are_taken(shared_central, tmp_path):
    """Its commands, run as they stand."""
    central = shared_central
    guide = pathlib.Path(__file__).parents[3] / "docs/guides/connect-a-device.md"
    blocks = [block.split("```")[0] for block in guide.read_text().split("```sh\n")[1:]]
    own, group = (block for block in blocks if "openssl" in block)
    Certificate.self_signed(tmp_path, "root")
    (tmp_path / "ca.pem").write_text(central.ca_pem)
    central.call("PUT", "/api/devices/pump-7", {"displayName": "pump-7"})
    environment = {"HOST": central.HOST, "TOKEN": central.session.headers["Authorization"], "PATH": "/usr/bin:/bin"}
    # There is no jq everywhere.
    group = group.replace("jq -r .verificationCode", "sed 's/.*:\"//; s/\".*//'")
    for script in (own, group):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    assert central.call("GET", "/api/devices/pump-7/attestation")["type"] == "x509"
    assert central.call("GET", "/api/enrollmentGroups/pumps/certificates/primary")["verified"] is True
