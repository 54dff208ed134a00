"""Certificates of devices and authorities, as a few lines of OpenSSL make them."""

import base64
import pathlib
import subprocess

from azure.iot.device import X509


def openssl(*arguments: str | pathlib.Path):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


class Certificate:
    """A certificate and its key, as a few lines of OpenSSL make them. `chain` is what a client sends."""

    def __init__(self, folder: pathlib.Path, name: str):
        self.name = name
        self.key, self.pem, self.chain = (folder / f"{name}.{kind}" for kind in ("key", "pem", "chain.pem"))
        self.is_root = False

    @classmethod
    def self_signed(cls, folder: pathlib.Path, name: str, common_name: str | None = None, key: str = "ec"):
        made = cls(folder, name)
        openssl("req", "-x509", *new_key(key), "-nodes", "-keyout", made.key, "-out", made.pem, "-days", "30",
                "-subj", f"/CN={common_name or name}")
        made.chain.write_text(made.pem.read_text())
        made.is_root = True
        return made

    def sign(self, name: str, authority: bool = False, key: str = "ec", days: int = 30):
        """A certificate below this one. A device's is of version 1: OpenSSL 3.0 makes no other without being asked."""
        made = Certificate(self.pem.parent, name)
        request, extensions = made.pem.with_suffix(".csr"), made.pem.with_suffix(".ext")
        openssl("req", *new_key(key), "-nodes", "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
        extra = []
        if authority:
            extensions.write_text("basicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign\n")
            extra = ["-extfile", extensions]
        openssl("x509", "-req", "-in", request, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial",
                "-days", str(days), "-out", made.pem, *extra)
        above = "" if self.is_root else self.chain.read_text()
        made.chain.write_text(made.pem.read_text() + above)
        return made

    def base64(self) -> str:
        return base64.b64encode(self.pem.read_bytes()).decode()

    def thumbprint(self, digest: str) -> str:
        shown = subprocess.run(["openssl", "x509", "-in", str(self.pem), "-noout", "-fingerprint", f"-{digest}"],
                               check=True, capture_output=True, text=True, timeout=60)
        return shown.stdout.strip().split("=")[1]

    def x509(self) -> X509:
        return X509(cert_file=str(self.chain), key_file=str(self.key))


def new_key(kind: str) -> list[str]:
    return ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
