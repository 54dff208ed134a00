"""A real HTTP proxy (tinyproxy), as plants have between their devices and the network."""

import pathlib
import socket
import subprocess

from conftest import wait_until


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class HttpProxy:
    """Lets CONNECT to port 443 through and nothing else, for whoever has the credentials if there are any."""

    HOST = "127.0.0.1"

    def __init__(self, folder: pathlib.Path, user: str | None = None, password: str | None = None):
        self.user, self.password, self.port = user, password, free_port()
        self.log = folder / "tinyproxy.log"
        config = folder / "tinyproxy.conf"
        lines = [f"Port {self.port}", f"Listen {self.HOST}", "Timeout 600", "MaxClients 200", "ConnectPort 443"]
        lines += ["LogLevel Connect", f'LogFile "{self.log}"']
        if user:
            lines.append(f"BasicAuth {user} {password}")
        config.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(["tinyproxy", "-d", "-c", str(config)], stdout=subprocess.DEVNULL)
        wait_until(self.listens, "the proxy to listen")

    def listens(self):
        with socket.create_connection((self.HOST, self.port), 1):
            return True

    def asked_for(self, target: str) -> int:
        """How often somebody asked to be connected to HOST:PORT."""
        return self.log.read_text().count(f"CONNECT {target} ")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
