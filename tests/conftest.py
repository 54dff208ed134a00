"""Starts the real programs for tests written against the official SDKs.

Runs inside a network namespace of its own (see `xtask/src/steps.rs`): ports 443 and 8883 are free there, and
`central.test` and `edge.test` are two loopback addresses, so that Central and the edge can both have port 8883.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

from azure.iot.device import MethodResponse
import pytest
import requests

PROGRAMS = pathlib.Path(os.environ.get("TIDEGATE_PROGRAMS", "target/debug")).resolve()
READY_SECS_MAX = 30
API_VERSION = "2022-10-31-preview"


def derive_key(group_key: str, registration_id: str) -> str:
    mac = hmac.new(base64.b64decode(group_key), registration_id.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def wait_until(condition, what: str, timeout_secs: float = READY_SECS_MAX):
    """Polls `condition` until it gives something true; the failure says `what` was waited for."""
    deadline = time.monotonic() + timeout_secs
    last_error = None
    while time.monotonic() < deadline:
        try:
            result = condition()
            if result:
                return result
        except (requests.RequestException, OSError, ValueError, KeyError, AssertionError) as error:
            last_error = error
        threading.Event().wait(0.05)
    raise AssertionError(f"waited {timeout_secs} s for {what}; last error: {last_error}")


# A line of a program's log that says that something is wrong.
COMPLAINT = re.compile(r"^\S+Z +(?:WARN|ERROR) (.*)$")


class Program:
    """One of our programs, with its output in a file, that can be killed and started again.

    What it complains of in its log fails the test, unless the test expects it: see `log_is_quiet`.
    """

    # Those of this session: how far the log of each was looked through, by its file.
    looked_through: dict[pathlib.Path, int] = {}

    def __init__(self, name: str, arguments: list[str], log: pathlib.Path, env: dict | None = None):
        self.command = [str(PROGRAMS / name), *arguments]
        self.log = log
        # What is set for the machine is for its way to the internet, not for that of the programs to each other.
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.env = {**inherited, **(env or {})}
        self.process = None
        self.looked_through.setdefault(log, 0)

    def start(self):
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output, env=self.env)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.command[0]} did not stop within 20 s of SIGTERM")

    def output(self) -> str:
        return self.log.read_text(errors="replace")


class Central(Program):
    HOST = "central.test"

    def __init__(self, folder: pathlib.Path):
        self.data = folder / "central"
        super().__init__(
            "tidegate",
            ["serve", "--data", str(self.data), "--hostname", self.HOST, "--https", "127.0.0.1:443", "--mqtts", "127.0.0.1:8883"],
            folder / "central.log",
        )
        self.session = requests.Session()
        # A CA bundle named in the environment would win over the one of this session.
        self.session.trust_env = False

    def start(self):
        super().start()
        wait_until(self.ready, "Central to be ready")
        self.reach()

    def reach(self):
        """From here on its API can be called; a program beside it that did not start it does only this."""
        self.session.verify = str(self.data / "ca.pem")
        self.session.headers["Authorization"] = (self.data / "admin.token").read_text().strip()

    def ready(self):
        assert self.process.poll() is None, f"Central ended:\n{self.output()[-3000:]}"
        # The trust bundle is written before the listeners open.
        return requests.get(f"https://{self.HOST}/health/ready", verify=str(self.data / "ca.pem"), timeout=2).ok

    @property
    def ca_pem(self) -> str:
        return (self.data / "ca.pem").read_text()

    def call(self, method: str, path: str, body=None, expect: int | None = None, version: str | None = API_VERSION):
        params = {"api-version": version} if version else {}
        answer = self.session.request(method, f"https://{self.HOST}{path}", params=params, json=body, timeout=40)
        if expect is None:
            assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        else:
            assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def id_scope(self) -> str:
        return self.call("GET", "/api/ext/v1/dps")["idScope"]

    def group_key(self, kind: str = "iot") -> str:
        groups = self.call("GET", "/api/enrollmentGroups")["value"]
        group = next(g for g in groups if g["type"] == kind and g["attestation"]["type"] == "symmetricKey")
        return group["attestation"]["symmetricKey"]["primaryKey"]

    def messages(self, device: str, limit: int = 100) -> list[dict]:
        answer = self.session.get(
            f"https://{self.HOST}/api/ext/v1/devices/{device}/messages", params={"limit": limit}, timeout=20
        )
        assert answer.ok, answer.text
        return answer.json()["value"]

    def query(self, text: str) -> list[dict]:
        return self.call("POST", "/api/query", {"query": text})["results"]


class Edge(Program):
    HOST = "edge.test"

    def __init__(
        self,
        folder: pathlib.Path,
        central: Central,
        device_id: str = "gateway-1",
        processes: dict[str, list[str]] | None = None,
        registration: dict | None = None,
        agent_env: dict[str, str] | None = None,
    ):
        """`registration` has `idScope` and `symmetricKey`; without it Central, which must be running, is asked for both."""
        registration = registration or self.registration_of(central, device_id)
        self.data = folder / device_id
        self.device_id = device_id
        self.config = folder / f"{device_id}.toml"
        self.data.mkdir(parents=True, exist_ok=True)
        lines = [
            f'hostname = "{self.HOST}"',
            f'trust_bundle_cert = "file://{central.data / "ca.pem"}"',
            "[provisioning]",
            'source = "dps"',
            f'global_endpoint = "https://{central.HOST}"',
            f'id_scope = "{registration["idScope"]}"',
            "[provisioning.attestation]",
            'method = "symmetric_key"',
            f'registration_id = "{device_id}"',
            f'symmetric_key = {{ value = "{registration["symmetricKey"]}" }}',
            "[tidegate]",
            f'data_dir = "{self.data}"',
            'listen_mqtts = "127.0.0.2:8883"',
            'listen_https = "127.0.0.2:443"',
            "[tidegate.processes]",
        ]
        for image, (program, *arguments) in (processes or {}).items():
            lines.append(f"{json.dumps(image)} = {{ program = {json.dumps(program)}, args = {json.dumps(arguments)} }}")
        lines += ["[agent.env]", *(f"{name} = {json.dumps(value)}" for name, value in (agent_env or {}).items())]
        self.config.write_text("\n".join(lines) + "\n")
        super().__init__("tidegate-edge", ["run", "--config", str(self.config)], folder / f"{device_id}.log")

    @staticmethod
    def registration_of(central: Central, device_id: str) -> dict:
        """How a device of the edge's enrollment group registers."""
        return {"idScope": central.id_scope(), "symmetricKey": derive_key(central.group_key("iotEdge"), device_id)}

    @property
    def ca_pem(self) -> str:
        """What a downstream device must trust: the roots the edge's own certificate leads to."""
        return (self.data / "identity/ca.pem").read_text()


class ServedForGood:
    """A client of the Python SDK that listens to all there is, and whether all of it arrives.

    The SDK subscribes once, when a handler is set or a twin first read, and never again however often it reconnects.
    """

    def __init__(self, central: Central, client, device_id: str):
        self.central, self.client, self.device_id = central, client, device_id
        self.patches, self.connections, self.number = asyncio.Queue(), asyncio.Queue(), 0
        loop = asyncio.get_running_loop()
        put = lambda queue, item: loop.call_soon_threadsafe(queue.put_nowait, item)
        client.on_twin_desired_properties_patch_received = lambda patch: put(self.patches, patch)
        client.on_connection_state_change = lambda: put(self.connections, client.connected)
        client.on_method_request_received = self.answer

    async def answer(self, request):
        await self.client.send_method_response(MethodResponse.create_from_method_request(request, 200, request.payload))

    async def reconnects(self, times: int):
        """Waits until the client has come back so often, from now on."""
        while not self.connections.empty():
            self.connections.get_nowait()
        async with asyncio.timeout(READY_SECS_MAX):
            for _ in range(times):
                while await self.connections.get():
                    pass
                while not await self.connections.get():
                    pass

    async def check(self):
        """A twin answer, a command and a desired property reach the client."""
        self.number += 1
        async with asyncio.timeout(READY_SECS_MAX):
            await self.client.get_twin()
            command, properties = f"/api/devices/{self.device_id}/commands/echo", f"/api/devices/{self.device_id}/properties"
            request = {"request": self.number, "connectionTimeout": 10, "responseTimeout": 10}
            result = await asyncio.to_thread(self.central.call, "POST", command, request, 201)
            assert (result["responseCode"], result["response"]) == (200, self.number)
            await asyncio.to_thread(self.central.call, "PATCH", f"{properties}?unmodeled=true", {"target": self.number}, 202)
            while (await self.patches.get()).get("target") != self.number:
                pass


def new_complaints() -> list[str]:
    """What the programs warned of since the last call."""
    found = []
    for log, start in Program.looked_through.items():
        if not log.exists():
            continue
        text = log.read_bytes()[start:]
        # A line that is being written is looked at next time.
        whole = text[: text.rfind(b"\n") + 1]
        Program.looked_through[log] = start + len(whole)
        matches = (COMPLAINT.match(line) for line in whole.decode(errors="replace").splitlines())
        found += [f"{log.name}: {match[1]}" for match in matches if match]
    return found


def check_log(markers):
    expected = [re.compile(pattern) for marker in markers for pattern in marker.args]
    unexpected = [line for line in new_complaints() if not any(pattern.search(line) for pattern in expected)]
    assert not unexpected, "a program complained, and the test does not expect it:\n" + "\n".join(unexpected)


@pytest.fixture(autouse=True)
def log_is_quiet(request):
    """A WARN or ERROR in a program's log fails the test, unless `@pytest.mark.complaints(PATTERN, …)` expects it.

    Being the first fixture of a test it ends last, after the programs have stopped.
    """
    yield
    check_log(request.node.iter_markers("complaints"))


@pytest.fixture(autouse=True, scope="module")
def log_is_quiet_to_the_end(request):
    """The same for what programs say that are stopped with their module."""
    yield
    check_log(request.node.iter_markers("complaints"))


@pytest.fixture
def central(tmp_path):
    program = Central(tmp_path)
    program.start()
    yield program
    program.stop()


@pytest.fixture(scope="module")
def shared_central(tmp_path_factory):
    program = Central(tmp_path_factory.mktemp("central"))
    program.start()
    yield program
    program.stop()
