"""What a `LoadedDevice` sends, as Central stores it."""

from conftest import Central, wait_until
from faults.load import LoadedDevice

TEMPLATE = "dtmi:modelDefinition:faults:counter;1"
# Most rows a query answers, and numbers asked for at once: leaves room for duplicates.
QUERY_ROWS_MAX = 10_000
PAGE = 2_000


def publish_template(central: Central):
    """The template of what a `LoadedDevice` sends."""
    model = {
        "@id": "dtmi:faults:counter;1",
        "@type": "Interface",
        "displayName": "Counter",
        "contents": [{"@type": "Telemetry", "name": "n", "schema": "integer"}],
    }
    template = {
        "@type": ["ModelDefinition", "DeviceModel"],
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "displayName": "Counter",
        "capabilityModel": model,
    }
    central.call("PUT", f"/api/deviceTemplates/{TEMPLATE}", template)


def stored_numbers(central: Central, device: str, until: int) -> list[int]:
    """Every number of the device in the order in which it was stored, duplicates included."""
    rows = []
    for start in range(0, until, PAGE):
        text = f"SELECT $ts, n FROM {TEMPLATE} WHERE $id = '{device}' AND n >= {start} AND n < {start + PAGE} ORDER BY $ts"
        page = central.query(text)
        assert len(page) < QUERY_ROWS_MAX, "the answer may have been cut"
        rows.extend(page)
    # Equal times are answered in the order of the log.
    return [row["n"] for row in rows]


def check(central: Central, device: LoadedDevice, timeout_secs: float = 90):
    """Everything acknowledged is stored, and each number came first after all smaller ones."""
    stored = wait_until(
        lambda: device.acknowledged <= set(n := stored_numbers(central, device.device_id, device.next_number)) and n,
        f"all {len(device.acknowledged)} acknowledged messages of {device.device_id}",
        timeout_secs,
    )
    firsts = list(dict.fromkeys(stored))
    assert firsts == sorted(firsts), f"{device.device_id}: the order changed"
