"""The table of the Python SDK's methods: every class, every public method, every way of connecting."""

import concurrent.futures
import importlib.metadata
from types import SimpleNamespace

from certificates import Certificate
from conftest import derive_key
from deployments import device_key
from python_clients import CLIENTS, WAYS, Identity, Loop, Trial, public_members
from table import Table, compare_or_write
from template import MODEL, TEMPLATE



def identity_of(central, folder, way: str, device: str) -> Identity:
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


def act_with(folder, act):
    return lambda trial: act(trial, folder)


def test_every_public_method_of_the_python_sdk_over_every_way(shared_central, tmp_path):
    central, table, loop = shared_central, Table(), Loop()
    central.call("PUT", f"/api/deviceTemplates/{TEMPLATE}", MODEL)
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
    for name in ("IoTHubDeviceClient", "ProvisioningDeviceClient"):
        for client_class, prefix in zip(CLIENTS[name], ("", "aio.")):
            tried = set(table.outcomes[f"Python {prefix}{name}"])
            assert tried == public_members(client_class), f"not covered: {public_members(client_class) ^ tried}"
    package = "azure-iot-device"
    compare_or_write("Python", table.outcomes, {f"{package} (Python)": importlib.metadata.version(package)})
