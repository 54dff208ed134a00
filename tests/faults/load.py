"""A device under load that knows what was acknowledged: raw MQTT, because an SDK hides the acknowledgements."""

import base64
import contextlib
import hashlib
import hmac
import json
import queue
import ssl
import threading
import time
import urllib.parse

import paho.mqtt.client as mqtt

from conftest import wait_until

WINDOW = 20


def sas_token(audience: str, key: str, lifetime_secs: int = 3600) -> str:
    expiry = str(int(time.time()) + lifetime_secs)
    resource = urllib.parse.quote(audience, safe="")
    signed = hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(base64.b64encode(signed), safe='')}&se={expiry}"


class Client(mqtt.Client):
    """paho's thread would end for ever when the other side hangs up while it writes its first packets."""

    def loop_forever(self, *arguments, **named):
        while True:
            try:
                return super().loop_forever(*arguments, **named)
            except OSError:
                continue


class LoadedDevice:
    """Sends `{"n": 0}`, `{"n": 1}`, … as fast as they are acknowledged, over any number of broken connections."""

    def __init__(self, device_id: str, key: str, hub: str, host: str, ca_file: str):
        self.device_id = device_id
        self.acknowledged: set[int] = set()
        self.next_number = 0
        self.under_way: dict[int, int] = {}
        # The client calls back under a lock of its own: the callback only notes the packet id, one thread does the rest.
        self.answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.client = Client(client_id=device_id, clean_session=False)
        self.client.max_inflight_messages_set(WINDOW)
        self.client.username_pw_set(f"{hub}/{device_id}/?api-version=2021-04-12", sas_token(f"{hub}/devices/{device_id}", key))
        self.client.tls_set(ca_file, tls_version=ssl.PROTOCOL_TLS_CLIENT)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = self.on_publish
        self.is_broken = threading.Event()
        self.client.on_disconnect = lambda *_: self.is_broken.set()
        self.topic = f"devices/{device_id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
        self.host = host
        self.thread = threading.Thread(target=self.send, daemon=True)

    def start(self):
        self.connect()
        self.thread.start()

    def connect(self):
        self.client.connect_async(self.host, 8883, keepalive=10)
        self.client.loop_start()

    def send_one(self, body: dict, properties: str = ""):
        """Sends one message, and waits for its acknowledgement. The device is connected, and not under load."""
        info = self.client.publish(self.topic + (f"&{properties}" if properties else ""), json.dumps(body), qos=1)
        wait_until(info.is_published, f"the acknowledgement of {body}")

    def send(self):
        while not self.stopping.is_set():
            if self.is_broken.is_set():
                # A message given to paho before it has sent the older ones again would go before them.
                if self.under_way:
                    self.take_answers(wait_secs=0.5)
                    continue
                self.is_broken.clear()
            if len(self.under_way) < WINDOW:
                # paho keeps what is not acknowledged and sends it again, in order, when it is connected again.
                info = self.client.publish(self.topic, json.dumps({"n": self.next_number}), qos=1)
                self.under_way[info.mid] = self.next_number
                self.next_number += 1
                self.take_answers(wait_secs=0)
            else:
                self.take_answers(wait_secs=0.5)

    def on_publish(self, _client, _userdata, mid):
        self.answers.put(mid)

    def take_answers(self, wait_secs: float):
        with contextlib.suppress(queue.Empty):
            mid = self.answers.get(timeout=wait_secs) if wait_secs else self.answers.get_nowait()
            while True:
                self.acknowledged.add(self.under_way.pop(mid))
                mid = self.answers.get_nowait()

    def drain(self, timeout_secs: float):
        """Stops sending, and waits until nothing is under way."""
        self.stopping.set()
        self.thread.join()
        deadline = time.monotonic() + timeout_secs
        while self.under_way and time.monotonic() < deadline:
            self.take_answers(wait_secs=0.5)
        assert not self.under_way, f"{self.device_id}: {len(self.under_way)} messages never acknowledged"
        self.close()

    def close(self):
        self.client.loop_stop()
        self.client.disconnect()
