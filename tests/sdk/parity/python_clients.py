"""Every public method of the clients of the Python SDK, synchronous and asyncio, for one way of connecting."""

import asyncio
import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import inspect
import json
import queue
import threading
import time
import urllib.parse
import uuid

from azure.iot.device import Message, MethodResponse, aio
import azure.iot.device as sync

from conftest import Central, wait_until
from table import Table

WAIT_SECS = 20
# The SDK asks for a new token two minutes before the end of the one it has: two seconds from now.
SHORT_TOKEN_SECS = 122


class Loop:
    """Where the coroutines of the asyncio clients run, so that one text exercises both kinds of client."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def call(self, function, *arguments, **options):
        given = function(*arguments, **options)
        if inspect.iscoroutine(given):
            return asyncio.run_coroutine_threadsafe(given, self.loop).result(WAIT_SECS * 2)
        return given


def sas_token(resource: str, key: str, ttl_secs: int) -> str:
    audience, expiry = urllib.parse.quote(resource, safe=""), int(time.time()) + ttl_secs
    mac = hmac.new(base64.b64decode(key), f"{audience}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={audience}&sig={urllib.parse.quote(base64.b64encode(mac), safe='')}&se={expiry}"


class Identity:
    """A device or a module in Central, what it proves itself with, and what people do with it."""

    def __init__(self, central: Central, device: str, module: str | None = None, key: str | None = None, x509=None):
        self.central, self.device, self.module, self.key, self.x509 = central, device, module, key, x509
        self.path = f"/api/devices/{device}" + (f"/modules/{module}" if module else "")

    @property
    def resource(self) -> str:
        module = f"/modules/{self.module}" if self.module else ""
        return f"{self.central.HOST}/devices/{self.device}{module}"

    @property
    def connection_string(self) -> str:
        module = f";ModuleId={self.module}" if self.module else ""
        return f"HostName={self.central.HOST};DeviceId={self.device}{module};SharedAccessKey={self.key}"

    def arrived(self, text: str, output: str | None = None):
        def found():
            messages = [m for m in self.central.messages(self.device) if m["body"] == {"text": text}]
            return [m for m in messages if m.get("module") == self.module]

        wait_until(found, f"the message {text}", WAIT_SECS)

    def invoke(self, name: str, request):
        body = {"request": request, "connectionTimeout": WAIT_SECS, "responseTimeout": WAIT_SECS}
        return self.central.call("POST", f"{self.path}/commands/{name}", body, 201)

    def desire(self, patch: dict):
        self.central.call("PATCH", f"{self.path}/properties" + ("" if self.module else "?unmodeled=true"), patch, 202)

    def reported(self) -> dict:
        module = f"?module={self.module}" if self.module else ""
        twin = self.central.call("GET", f"/api/ext/v1/devices/{self.device}/twin{module}", version=None)
        return twin["properties"]["reported"]


class Trial:
    """One class of client, one identity, one way of connecting."""

    def __init__(self, table: Table, loop: Loop, client_class, way: str, identity: Identity):
        self.table, self.loop, self.client_class, self.way, self.identity = table, loop, client_class, way, identity
        is_aio = ".aio." in client_class.__module__
        self.name = f"Python {'aio.' if is_aio else ''}{client_class.__name__}"
        self.options = {"websockets": "WebSocket" in way, "connection_retry_interval": 1}
        self.threads = concurrent.futures.ThreadPoolExecutor(4)
        # Those of asyncio wait for ever.
        self.patience = {} if is_aio else {"timeout": WAIT_SECS}

    def tried(self, member: str, act):
        return self.table.tried(self.name, member, self.way, act)

    def call(self, function, *arguments, **options):
        return self.loop.call(function, *arguments, **options)

    def make(self, constructor: str, **extra):
        """A client by one of the `create_from_…` methods."""
        identity, options = self.identity, {**self.options, **extra}
        create = getattr(self.client_class, constructor)
        if constructor == "create_from_edge_environment":
            return create(**options)
        options["server_verification_cert"] = identity.central.ca_pem
        if constructor == "create_from_connection_string":
            return create(identity.connection_string, **options)
        if constructor == "create_from_sastoken":
            return create(sas_token(identity.resource, identity.key, options.pop("ttl", 3600)), **options)
        names = {"hostname": identity.central.HOST, "device_id": identity.device}
        if identity.module:
            names["module_id"] = identity.module
        if constructor == "create_from_symmetric_key":
            return create(symmetric_key=identity.key, **names, **options)
        return create(x509=identity.x509, **names, **options)

    def send(self, client, member: str = "send_message", *more):
        text = uuid.uuid4().hex
        message = Message(json.dumps({"text": text}), content_encoding="utf-8", content_type="application/json")
        self.call(getattr(client, member), message, *more)
        self.identity.arrived(text)

    def constructors(self, names: list[str]):
        """Clients that connect and send, no more."""
        for name in names:

            def act():
                client = self.make(name)
                self.call(client.connect)
                self.send(client)
                self.call(client.shutdown)

            self.tried(name, act)

    def with_handlers(self, constructor: str):
        states, patches, requests, failures = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()
        client = self.tried(constructor, lambda: self.make(constructor))
        client.on_connection_state_change = lambda: states.put(client.connected)
        self.tried("connect", lambda: self.call(client.connect))
        self.tried("on_connection_state_change", lambda: expect(states.get(timeout=WAIT_SECS), True))
        self.tried("connected", lambda: expect(client.connected, True))
        self.tried("send_message", lambda: self.send(client))
        self.tried("get_twin", lambda: self.call(client.get_twin)["desired"]["$version"])
        self.tried("patch_twin_reported_properties", lambda: self.report(client))

        if not self.identity.module or self.is_behind_an_edge:
            self.served(client, patches, requests)
        self.messages(client)
        self.invoke(client, requests)

        def taken_over():
            client.on_background_exception = failures.put
            drain(states)
            other = self.make(constructor)
            self.call(other.connect)
            self.call(other.shutdown)
            expect(type(failures.get(timeout=WAIT_SECS)).__name__, "ConnectionDroppedError")
            while not states.get(timeout=WAIT_SECS):
                pass
            self.send(client)

        self.tried("on_background_exception", taken_over)
        self.files(client)
        self.tried("disconnect", lambda: self.call(client.disconnect))
        self.tried("connected", lambda: expect(client.connected, False))
        self.tried("shutdown", lambda: self.call(client.shutdown))

    def served(self, client, patches: queue.Queue, requests: queue.Queue):
        """What people send; the REST API knows the modules of an edge's manifest only."""

        def patched():
            client.on_twin_desired_properties_patch_received = patches.put
            self.identity.desire({"target": 5})
            expect(patches.get(timeout=WAIT_SECS)["target"], 5)

        self.tried("on_twin_desired_properties_patch_received", patched)
        client.on_method_request_received = requests.put
        running = self.threads.submit(self.identity.invoke, "echo", "ping")
        request = self.tried("on_method_request_received", lambda: requests.get(timeout=WAIT_SECS))
        self.tried("send_method_response", lambda: self.respond(client, request, running))

    def report(self, client):
        value = uuid.uuid4().hex
        self.call(client.patch_twin_reported_properties, {"firmware": value})
        wait_until(lambda: self.identity.reported().get("firmware") == value, "the reported property", WAIT_SECS)

    def respond(self, client, request, running):
        response = MethodResponse.create_from_method_request(request, 200, {"echo": request.payload})
        self.call(client.send_method_response, response)
        result = running.result(WAIT_SECS)
        expect((result["responseCode"], result["response"]), (200, {"echo": "ping"}))

    @property
    def is_behind_an_edge(self) -> bool:
        return self.way.startswith("Edge")

    def messages(self, client):
        """Those to a device; those to the input of a module, which is behind an edge, are its own that come back."""
        if self.identity.module and not self.is_behind_an_edge:
            return
        received = queue.Queue()

        def act():
            client.on_message_received = received.put
            if self.identity.module:
                text = self.loops_back(client)
                message = received.get(timeout=WAIT_SECS)
                return expect((message.input_name, json.loads(message.data)), ("in1", {"text": text}))
            self.identity.invoke("restart", 1)
            expect(json.loads(received.get(timeout=WAIT_SECS).data), 1)

        self.tried("on_message_received", act)

    def loops_back(self, client) -> str:
        """Sends to the output that the route `loop` brings back."""
        text = uuid.uuid4().hex
        message = Message(json.dumps({"text": text}), content_encoding="utf-8", content_type="application/json")
        self.tried("send_message_to_output", lambda: self.call(client.send_message_to_output, message, "loop"))
        return text

    def invoke(self, client, requests: queue.Queue):
        """A method of another module, which is this one: there is no such thing without an edge."""
        if not self.is_behind_an_edge:
            return
        identity = self.identity

        def act():
            method = {"methodName": "echo", "payload": "self", "responseTimeoutInSeconds": WAIT_SECS,
                      "connectTimeoutInSeconds": WAIT_SECS}
            running = self.threads.submit(self.call, client.invoke_method, method, identity.device, identity.module)
            # It is refused, or comes in as a request.
            wait_until(lambda: running.done() or not requests.empty(), "the call to get somewhere", WAIT_SECS)
            if running.done():
                return running.result()
            request = requests.get_nowait()
            self.call(client.send_method_response, MethodResponse.create_from_method_request(request, 207, request.payload))
            expect(running.result(WAIT_SECS), {"status": 207, "payload": "self"})

        self.tried("invoke_method", act)

    def files(self, client):
        if self.identity.module:
            return
        info = self.tried("get_storage_info_for_blob", lambda: self.call(client.get_storage_info_for_blob, "a.txt"))
        correlation = (info or {}).get("correlationId", "none")
        told = lambda: self.call(client.notify_blob_upload_status, correlation, False, 500, "not sent")
        self.tried("notify_blob_upload_status", told)

    def with_receive(self, constructor: str):
        """The older way: the caller asks, and a client that asks has no handlers."""
        client = self.make(constructor)
        self.call(client.connect)
        running = self.threads.submit(self.identity.invoke, "echo", "ping")
        request = self.tried("receive_method_request", lambda: self.call(client.receive_method_request, **self.patience))
        self.tried("send_method_response", lambda: self.respond(client, request, running))

        def patched():
            receiving = self.threads.submit(self.call, client.receive_twin_desired_properties_patch, **self.patience)
            # It subscribes with the call, and says nothing when it has.
            for number in range(100):
                self.identity.desire({"asked": number})
                with contextlib.suppress(concurrent.futures.TimeoutError):
                    return expect("asked" in receiving.result(0.1), True)
            raise AssertionError("no patch came")

        self.tried("receive_twin_desired_properties_patch", patched)
        if not self.identity.module:
            self.identity.invoke("restart", 2)
            asked = lambda: json.loads(self.call(client.receive_message, **self.patience).data)
            self.tried("receive_message", lambda: expect(asked(), 2))
        elif self.is_behind_an_edge:
            self.tried("receive_message_on_input", lambda: self.input_received(client))
        self.call(client.shutdown)

    def input_received(self, client):
        receiving = self.threads.submit(self.call, client.receive_message_on_input, "in1", **self.patience)
        # What comes before it asked for the input the SDK drops.
        for _ in range(100):
            self.loops_back(client)
            with contextlib.suppress(concurrent.futures.TimeoutError):
                return expect("text" in json.loads(receiving.result(0.1).data), True)
        raise AssertionError("no message came")

    def with_token(self):
        """A token of the caller's, who is asked for the next one in time."""
        client = self.tried("create_from_sastoken", lambda: self.make("create_from_sastoken", ttl=SHORT_TOKEN_SECS))
        asked = threading.Event()
        client.on_new_sastoken_required = asked.set
        self.call(client.connect)
        self.tried("on_new_sastoken_required", lambda: expect(asked.wait(WAIT_SECS), True))

        def renew():
            self.call(client.update_sastoken, sas_token(self.identity.resource, self.identity.key, 3600))
            self.send(client)

        self.tried("update_sastoken", renew)
        self.call(client.shutdown)


    def refused(self, situation: str, original: str, act):
        """Everything that is refused is refused at once: nothing is tried again."""
        self.table.raises(self.name, situation, self.way.split(",")[0], original, act)

    def connects(self, constructor: str, **options):
        client = self.make(constructor, connection_retry=False, **options)
        try:
            self.call(client.connect)
        finally:
            self.call(client.shutdown)


def expect(found, wanted):
    assert found == wanted, f"{found!r}, not {wanted!r}"


def drain(items: queue.Queue):
    while not items.empty():
        items.get_nowait()


def public_members(client_class) -> set[str]:
    return {name for name in dir(client_class) if not name.startswith("_")}


CLIENTS = {
    "IoTHubDeviceClient": (sync.IoTHubDeviceClient, aio.IoTHubDeviceClient),
    "IoTHubModuleClient": (sync.IoTHubModuleClient, aio.IoTHubModuleClient),
    "ProvisioningDeviceClient": (sync.ProvisioningDeviceClient, aio.ProvisioningDeviceClient),
}
WAYS = [f"{transport}, {credential}" for transport in ("MQTT", "WebSocket") for credential in ("key", "X.509")]
