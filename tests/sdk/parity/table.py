"""What every public method of the official SDKs does against Tidegate: the recording, and what is expected.

A row is a class, one of its public members and a way of connecting; its outcome is `works`, or the name of the error
that came out. `results.json` holds the outcomes that stand in `docs/reference/sdks.md`.
"""

import json
import os
import pathlib
import threading
import traceback

RESULTS = pathlib.Path(__file__).parent / "results.json"
WORKS, NOT_THERE_YET = "works", "not there yet"

# Members that this version has nothing behind, by class. Whoever builds it takes them out of here.
UNBUILT = {
    # An edge has no HTTP interface for calls from module to module.
    **dict.fromkeys(["Python IoTHubModuleClient", "Python aio.IoTHubModuleClient"], ["invoke_method"]),
}

# What an SDK refuses by itself, whatever it is connected to: class, member, beginning of the ways, error.
REFUSED_BY_THE_SDK: list[tuple[str, str, str, str]] = [
    ("Node Client", member, way, "NotImplementedError")
    for way, members in {
        "MQTT": ["sendEventBatch", "abandon", "reject"],
        "WebSocket": ["sendEventBatch", "abandon", "reject"],
        "HTTP": ["getTwin", "onDeviceMethod"],
    }.items()
    for member in members
]

# Where Tidegate differs from the original: class or situation, member or client, beginning of the ways, outcome,
# that of the original, why.
DISABLED = "A registration ends with the status `disabled`, as the service's interface describes it; the SDK has no error of its own for it."
DIFFERENCES: list[tuple[str, str, str, str, str, str]] = [
    *(
        (f"{client} errors", situation, "", outcome, "not published", DISABLED)
        for client, outcome in {
            "Python ProvisioningDeviceClient": "ClientError",
            "Python aio.ProvisioningDeviceClient": "ClientError",
            "Node ProvisioningDeviceClient": "SyntaxError",
        }.items()
        for situation in ("disabled device", "disabled enrollment group")
    ),
    (
        "Node Client errors",
        "unknown device",
        "HTTP",
        "UnauthorizedError",
        "DeviceNotFoundError",
        "Who has no key is not told which devices there are.",
    ),
]


class Table:
    """Outcomes by class, member and way; what failed is kept for the report of the test."""

    def __init__(self):
        self.outcomes: dict[str, dict[str, dict[str, str]]] = {}
        self.details: dict[tuple[str, str, str], str] = {}
        # What the original gives, where that is an error.
        self.originals: dict[tuple[str, str, str], str] = {}
        self.lock = threading.Lock()

    def tried(self, client: str, member: str, way: str, act):
        """Runs `act` and records what came of it; gives what it gave, `None` when it failed."""
        try:
            given, outcome, detail = act(), WORKS, ""
        except Exception as error:
            given, outcome, detail = None, type(error).__name__, traceback.format_exc()
        self.record(client, member, way, outcome, detail)
        return given

    def raises(self, client: str, situation: str, way: str, original: str, act):
        """The same for something that must fail: `original` is the error it fails with in the original."""
        self.originals[f"{client} errors", situation, way] = original
        self.tried(f"{client} errors", situation, way, act)

    def record(self, client: str, member: str, way: str, outcome: str, detail: str = ""):
        if outcome != WORKS and member in UNBUILT.get(client, []):
            outcome = NOT_THERE_YET
        with self.lock:
            ways = self.outcomes.setdefault(client, {}).setdefault(member, {})
            # A member that is used in several places works when it works in all of them.
            if ways.get(way, WORKS) == WORKS:
                ways[way] = outcome
                self.details[client, member, way] = detail

    def rows(self):
        for client, members in self.outcomes.items():
            for member, ways in members.items():
                for way, outcome in ways.items():
                    yield client, member, way, outcome

    def unexplained(self) -> list[str]:
        """Rows whose outcome is neither that of the original nor written down as a difference."""
        found = []
        for client, member, way, outcome in self.rows():
            original = self.originals.get((client, member, way), WORKS)
            expected = expectation(client, member, way, original)
            if outcome != expected:
                detail = self.details[client, member, way]
                found.append(f"{client}.{member} over {way}: {outcome}, not {expected}\n{detail}")
        return found


def expectation(client: str, member: str, way: str, original: str = WORKS) -> str:
    if member in UNBUILT.get(client, []):
        return NOT_THERE_YET
    own = [row[3] for row in REFUSED_BY_THE_SDK if row[:2] == (client, member) and way.startswith(row[2])]
    differing = [row[3] for row in DIFFERENCES if row[:2] == (client, member) and way.startswith(row[2])]
    return (differing or own or [original])[0]


def compare_or_write(part: str, outcomes: dict, packages: dict[str, str]):
    """`outcomes` of a part of the page against what is checked in; with TIDEGATE_WRITE_RESULTS=1, into it."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"parts": {}, "packages": {}}
    was = json.dumps(stored, sort_keys=True)
    stored["parts"][part] = outcomes
    stored["packages"] = {**stored["packages"], **packages}
    names = ("what", "member", "way", "outcome", "original", "why")
    stored["differences"] = [dict(zip(names, row)) for row in DIFFERENCES]
    if os.environ.get("TIDEGATE_WRITE_RESULTS") == "1":
        RESULTS.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
        return
    stale = f"{RESULTS.name} is stale: run again with TIDEGATE_WRITE_RESULTS=1, then `cargo xtask codegen`"
    assert json.dumps(stored, sort_keys=True) == was, stale
