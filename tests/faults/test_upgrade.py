"""Data folders of earlier versions: everything in them is there, what was under way arrives, and both programs go on."""

import json
import pathlib
import sqlite3
import subprocess
import sys
import tarfile

import pytest

from conftest import Central, Edge, Program, wait_until
from faults.load import LoadedDevice

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures/data-folder"
ECHO = pathlib.Path(__file__).parent.parent / "sdk/python/echo_module.py"
VERSIONS = sorted(path.parent.name for path in FIXTURES.glob("*/expected.json"))
assert VERSIONS, "no version has a folder"
# The configuration, or here the program, must be changed: a service manager does not start it again.
EXIT_CONFIG = 78
# Which process holds a folder, and what SQLite makes anew beside a database: no data.
BESIDE_THE_DATA = {"serve.lock", "registry.db-shm"}
TEMPLATE = "dtmi:modelDefinition:plant:pump;1"


class Folders:
    """The folders of one version, unpacked, and what must be in them."""

    def __init__(self, version: str, folder: pathlib.Path):
        self.expected = json.loads((FIXTURES / version / "expected.json").read_text())
        for archive, name in [("central", "central"), ("edge", "gateway-1")]:
            with tarfile.open(FIXTURES / version / f"{archive}.tar.gz") as tar:
                tar.extractall(folder / name, filter="tar")
        self.central = OldCentral(folder, self.expected["edge"]["token"])
        image = self.expected["edge"]["image"]
        registration = self.expected["edge"]["registration"]
        self.edge = Edge(folder, self.central, processes={image: [sys.executable, str(ECHO)]}, registration=registration)

    def device(self, device_id: str, host: str, ca: pathlib.Path) -> LoadedDevice:
        key = self.expected["reads"][f"/api/devices/{device_id}/credentials"]["symmetricKey"]["primaryKey"]
        return LoadedDevice(device_id, key, self.central.HOST, host, str(ca))


class OldCentral(Central):
    """Signs in with a token of the folder that holds for longer than the administrator's, which is there as well."""

    def __init__(self, folder: pathlib.Path, token: str):
        super().__init__(folder)
        self.token = token

    def start(self):
        super().start()
        self.session.headers["Authorization"] = self.token


@pytest.fixture(params=VERSIONS)
def folders(request, tmp_path):
    folders = Folders(request.param, tmp_path)
    yield folders
    folders.edge.stop()
    folders.central.stop()


def holds(actual, expected) -> bool:
    """Whether everything expected is there. Later versions may say more."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(key in actual and holds(actual[key], value) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(actual) == len(expected) and all(map(holds, actual, expected))
    return actual == expected


def check_reads(folders: Folders):
    for path, expected in folders.expected["reads"].items():
        version = None if path.startswith("/api/ext/") else "2022-10-31-preview"
        actual = folders.central.call("GET", path, version=version)
        assert holds(actual, expected), f"{path}:\n{json.dumps(actual)}\ninstead of\n{json.dumps(expected)}"
    for text, rows in folders.expected["queries"].items():
        assert folders.central.query(text) == rows, text


def flows(central: Central, device: str) -> list:
    rows = central.query(f"SELECT $ts, flow FROM {TEMPLATE} WHERE $id = '{device}' ORDER BY $ts")
    return [row["flow"] for row in rows if "flow" in row]


@pytest.mark.complaints("the hub is not ready for this device, trying again .*Connection refused")
def test_everything_is_there_and_goes_on(folders):
    central, edge = folders.central, folders.edge
    central.start()
    check_reads(folders)
    central.stop()

    # The edge alone: a known device is let in, and the module's input is served.
    edge.start()
    leaf = folders.device("leaf-1", edge.HOST, edge.data / "identity/ca.pem")
    leaf.connect()
    wait_until(leaf.client.is_connected, "a known device to be let in without Central")
    leaf.send_one({"flow": 400})
    leaf.close()

    central.start()
    before = [row["flow"] for row in folders.expected["queries"][query_of(folders, "leaf-1")]]
    undelivered = folders.expected["edge"]["undelivered"]
    waiting = [body["flow"] for name in ("up", "later") for body in undelivered[name]] + [400]
    wait_until(lambda: set(waiting) <= set(flows(central, "leaf-1")), "the edge to deliver what it had stored")
    delivered = flows(central, "leaf-1")
    assert sorted(delivered) == sorted(before + waiting), "nothing is lost, nothing comes twice"
    assert [flow for flow in delivered if 200 <= flow < 300] == [body["flow"] for body in undelivered["up"]]

    def echoed():
        found = [message for message in central.messages(edge.device_id) if message["properties"].get("via") == "in1"]
        return [message["body"] for message in sorted(found, key=lambda message: message["offset"])]

    wait_until(lambda: len(echoed()) >= len(undelivered["in"]), "the module to get what waited for it")
    assert echoed() == undelivered["in"]

    pump = folders.device("pump-1", central.HOST, central.data / "ca.pem")
    pump.connect()
    wait_until(pump.client.is_connected, "the pump to be let in")
    pump.send_one({"flow": 500})
    pump.close()
    central.kill()
    central.start()
    rows = folders.expected["queries"][query_of(folders, "pump-1")]
    assert flows(central, "pump-1") == [row["flow"] for row in rows if "flow" in row] + [500]


def query_of(folders: Folders, device: str) -> str:
    return next(text for text in folders.expected["queries"] if f"'{device}'" in text)



def later_registry(folder: pathlib.Path):
    database = sqlite3.connect(folder / "registry.db")
    columns = "installed_on, success, checksum, execution_time"
    database.execute(
        f"INSERT INTO _sqlx_migrations (version, description, {columns}) SELECT 9999, 'later', {columns} FROM _sqlx_migrations LIMIT 1"
    )
    database.commit()
    database.close()


def later_log(folder: pathlib.Path):
    """The version is a number of four bytes behind the magic."""
    segment = next(iter(sorted(folder.glob("**/*.log"))))
    bytes_ = bytearray(segment.read_bytes())
    assert bytes_[:8] == b"TIDELOG\n", segment
    bytes_[8:12] = (9999).to_bytes(4, "little")
    segment.write_bytes(bytes_)


def contents(folder: pathlib.Path) -> dict:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in BESIDE_THE_DATA)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def check_refused(program: Program, folder: pathlib.Path, said: str):
    before = contents(folder)
    ended = subprocess.run(program.command, capture_output=True, timeout=20, env=program.env)
    text = ended.stderr.decode(errors="replace")
    assert ended.returncode == EXIT_CONFIG, text
    assert said in text and "9999" in text, text
    after = contents(folder)
    assert sorted(after) == sorted(before), "no file comes or goes"
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, changed


@pytest.mark.parametrize("make_later, said", [(later_registry, "registry.db"), (later_log, "00000000000000000000.log")])
def test_central_leaves_a_later_folder_as_it_is(folders, make_later, said):
    make_later(folders.central.data)
    check_refused(folders.central, folders.central.data, said)


def test_the_edge_leaves_a_later_log_as_it_is(folders):
    later_log(folders.edge.data)
    check_refused(folders.edge, folders.edge.data, ".log")
