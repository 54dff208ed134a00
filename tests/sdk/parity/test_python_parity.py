"""The table of the Python SDK's methods: every class, every public method, every way of connecting."""

import base64
import concurrent.futures
import importlib.metadata
import json
import pathlib
import sys
from types import SimpleNamespace

import requests

from certificates import Certificate
from conftest import Edge, derive_key, wait_until
from deployments import apply_manifest, device_key, manifest
from python_clients import CLIENTS, WAYS, Identity, Loop, Trial, public_members, sas_token
from table import Table, compare_or_write
from template import MODEL, TEMPLATE

HERE = pathlib.Path(__file__).parent
PACKAGES = {"azure-iot-device (Python)": importlib.metadata.version("azure-iot-device")}


def identity_of(central, folder, way: str, device: str) -> Identity:
    central.call("PUT", f"/api/deviceTemplates/{TEMPLATE}", MODEL)
    central.call("PUT", f"/api/devices/{device}", {"displayName": device, "template": TEMPLATE})
    if way.endswith("key"):
        return Identity(central, device, key=device_key(central, device))
    certificate = Certificate.self_signed(folder, device)
    primary = {"primary": {"certificate": certificate.base64()}}
    central.call("PUT", f"/api/devices/{device}/attestation", {"type": "x509", "x509": {"clientCertificates": primary}})
    return Identity(central, device, x509=certificate.x509())


def device_trial(trial: Trial):
    if trial.identity.key:
        trial.constructors(["create_from_connection_string"])
        trial.with_handlers("create_from_symmetric_key")
        trial.with_receive("create_from_symmetric_key")
        trial.with_token()
    else:
        trial.with_handlers("create_from_x509_certificate")
        trial.with_receive("create_from_x509_certificate")


def provisioning_client(trial: Trial, **differing):
    identity = trial.identity
    options = {
        "provisioning_host": identity.central.HOST,
        "registration_id": identity.device,
        "id_scope": identity.central.id_scope(),
        "server_verification_cert": identity.central.ca_pem,
        "websockets": trial.options["websockets"],
        **({"symmetric_key": identity.key} if identity.key else {"x509": identity.x509}),
        **differing,
    }
    kind = "symmetric_key" if "symmetric_key" in options else "x509_certificate"
    return getattr(trial.client_class, f"create_from_{kind}")(**options)


def provisioning_trial(trial: Trial):
    kind = "symmetric_key" if trial.identity.key else "x509_certificate"
    client = trial.tried(f"create_from_{kind}", lambda: provisioning_client(trial))

    def register():
        result = trial.call(client.register)
        assert (result.status, result.registration_state.device_id) == ("assigned", trial.identity.device)

    def payload():
        client.provisioning_payload = {"modelId": TEMPLATE}
        assert client.provisioning_payload == {"modelId": TEMPLATE}

    trial.tried("provisioning_payload", payload)
    trial.tried("register", register)


NOBODYS_KEY = "bm90IHRoZSBrZXk="
REFUSED = "CredentialError"
# See `DIFFERENCES`.
DISABLED = "not published"


def device_errors(trial: Trial, folder):
    """What the documented errors come out of."""
    central, named = trial.identity.central, trial.identity.device
    if not trial.identity.key:
        strange = Identity(central, named, x509=Certificate.self_signed(folder, f"{named}-strange").x509())
        trial.refused("certificate of somebody else", REFUSED, lambda: as_other(trial, strange, "create_from_x509_certificate"))
        return
    key = "create_from_symmetric_key"
    trial.refused("wrong key", REFUSED, lambda: as_other(trial, Identity(central, named, key=NOBODYS_KEY), key))
    trial.refused("unknown device", REFUSED, lambda: as_other(trial, Identity(central, "nobody", key=NOBODYS_KEY), key))
    off = f"{named}-off"
    central.call("PUT", f"/api/devices/{off}", {"displayName": off, "enabled": False})
    disabled = Identity(central, off, key=device_key(central, off))
    trial.refused("disabled device", REFUSED, lambda: as_other(trial, disabled, key))
    away = SimpleNamespace(HOST="127.0.0.3", ca_pem=central.ca_pem)
    trial.refused("nothing listens", "ConnectionFailedError", lambda: as_other(trial, Identity(away, named, key=NOBODYS_KEY), key))
    distrusting = SimpleNamespace(HOST=central.HOST, ca_pem=None)
    other = Identity(distrusting, named, key=trial.identity.key)
    trial.refused("server's certificate not trusted", "ClientError", lambda: as_other(trial, other, key))

    def without_connection():
        client = trial.make(key, auto_connect=False)
        try:
            trial.call(client.send_message, "x")
        finally:
            trial.call(client.shutdown)

    trial.refused("send without a connection", "NoConnectionError", without_connection)


def as_other(trial: Trial, identity: Identity, constructor: str):
    Trial(trial.table, trial.loop, trial.client_class, trial.way, identity).connects(constructor)


def provisioning_errors(trial: Trial, folder):
    central, named = trial.identity.central, trial.identity.device
    register = lambda **differing: trial.call(provisioning_client(trial, **differing).register)
    if not trial.identity.key:
        strange = Certificate.self_signed(folder, f"{named}-unknown").x509()
        trial.refused("certificate of somebody else", REFUSED, lambda: register(x509=strange))
        return
    trial.refused("wrong key", REFUSED, lambda: register(symmetric_key=NOBODYS_KEY))
    trial.refused("unknown id scope", REFUSED, lambda: register(id_scope="0ne0000000F"))
    off, group = f"{named}-dps-off", f"{named}-group-off"
    central.call("PUT", f"/api/devices/{off}", {"displayName": off, "enabled": False})
    key = device_key(central, off)
    trial.refused("disabled device", DISABLED, lambda: register(registration_id=off, symmetric_key=key))
    body = {"displayName": group, "type": "iot", "enabled": False, "attestation": {"type": "symmetricKey"}}
    made = central.call("PUT", f"/api/enrollmentGroups/{group}", body)
    key = derive_key(made["attestation"]["symmetricKey"]["primaryKey"], f"{named}-new")
    trial.refused("disabled enrollment group", DISABLED, lambda: register(registration_id=f"{named}-new", symmetric_key=key))


def module_of(central, folder, way: str, device: str) -> Identity:
    """A module that a device made for itself, over HTTPS."""
    of_device = identity_of(central, folder, "key", device)
    made = {"moduleId": "m", "deviceId": device}
    identity = Identity(central, device, "m")
    if way.endswith("key"):
        identity.key = base64.b64encode(device.encode() * 2).decode()
        keys = {"primaryKey": identity.key, "secondaryKey": identity.key}
        made["authentication"] = {"type": "sas", "symmetricKey": keys}
    else:
        certificate = Certificate.self_signed(folder, f"{device}-m")
        identity.x509 = certificate.x509()
        thumbprint = {"primaryThumbprint": certificate.thumbprint("sha256"), "secondaryThumbprint": None}
        made["authentication"] = {"type": "selfSigned", "x509Thumbprint": thumbprint}
    answer = requests.put(
        f"https://{central.HOST}/devices/{device}/modules/m",
        params={"api-version": "2021-04-12"},
        json=made,
        headers={"Authorization": sas_token(of_device.resource, of_device.key, 3600)},
        verify=str(central.data / "ca.pem"),
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    return identity


def module_trial(trial: Trial):
    constructor = "create_from_connection_string" if trial.identity.key else "create_from_x509_certificate"
    trial.with_handlers(constructor)
    if trial.identity.key:
        trial.with_token()


def edge_with_module(central, folder, results) -> Edge:
    image, name = "example.test/parity", "gateway-parity"
    program = [sys.executable, str(HERE / "parity_module.py"), str(central.data.parent), str(results)]
    edge = Edge(folder, central, name, processes={image: program})
    central.call("PUT", f"/api/devices/{name}", {"displayName": name, "type": ["iotEdge"]})
    loop = 'FROM /messages/modules/tried/outputs/loop INTO BrokeredEndpoint("/modules/tried/inputs/in1")'
    up = "FROM /messages/modules/tried INTO $upstream"
    apply_manifest(central, name, manifest({"loop": loop, "up": up}, {"tried": f"{image}:1.0"}))
    return edge


def covered(table: Table, *names: str):
    for name in names:
        for client_class, prefix in zip(CLIENTS[name], ("", "aio.")):
            tried = set(table.outcomes[f"Python {prefix}{name}"])
            assert tried == public_members(client_class), f"not covered: {public_members(client_class) ^ tried}"


def test_every_public_method_of_the_python_sdks_modules(shared_central, tmp_path):
    """Behind an edge, started by it, and directly against Central."""
    central, table, loop, results = shared_central, Table(), Loop(), tmp_path / "results.json"
    edge = edge_with_module(central, tmp_path, results)
    edge.start()
    try:
        direct = []
        for number, way in enumerate(WAYS):
            for kind, client_class in enumerate(CLIENTS["IoTHubModuleClient"]):
                identity = module_of(central, tmp_path, way, f"parity-module-{number}-{kind}")
                direct.append(Trial(table, loop, client_class, way, identity))
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            for done in [threads.submit(module_trial, trial) for trial in direct]:
                done.result()
        wait_until(results.exists, "the module to have tried everything", 60)
    finally:
        edge.stop()
    for row in json.loads(results.read_text()):
        table.record(*row)
    assert not (found := table.unexplained()), "\n".join(found)
    covered(table, "IoTHubModuleClient")
    compare_or_write("Python modules", table.outcomes, PACKAGES)


def act_with(folder, act):
    return lambda trial: act(trial, folder)


def test_every_public_method_of_the_python_sdk_over_every_way(shared_central, tmp_path):
    central, table, loop = shared_central, Table(), Loop()
    trials = []
    for number, way in enumerate(WAYS):
        for kind in (0, 1):
            device = f"parity-{number}-{kind}"
            identity = identity_of(central, tmp_path, way, device)
            provisioning = Trial(table, loop, CLIENTS["ProvisioningDeviceClient"][kind], way, identity)
            of_device = Trial(table, loop, CLIENTS["IoTHubDeviceClient"][kind], way, identity)
            trials += [(provisioning_trial, provisioning), (device_trial, of_device)]
            trials += [(act_with(tmp_path, provisioning_errors), provisioning), (act_with(tmp_path, device_errors), of_device)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(act, trial) for act, trial in trials]:
            done.result()
    assert not (found := table.unexplained()), "\n".join(found)
    covered(table, "IoTHubDeviceClient", "ProvisioningDeviceClient")
    compare_or_write("Python", table.outcomes, PACKAGES)
