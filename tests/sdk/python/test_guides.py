"""The program of the guide "Connect a device" does what the guide says."""

import pathlib
import re
import subprocess
import sys

from conftest import wait_until

GUIDE = pathlib.Path(__file__).parents[3] / "docs/guides/connect-a-device.md"
RUN_SECS_MAX = 60


def program_of_guide(central) -> str:
    """The guide's Python block, with the placeholders a reader fills in filled in."""
    program = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL).group(1)
    values = f'"{central.HOST}", "{central.id_scope()}", "pump-7", "{central.group_key()}"'
    program, filled = re.subn(r'"iot\.example\.test", "0ne…", "pump-7", "…"', lambda _: values, program)
    assert filled == 1
    return program


def test_the_guide_connects_a_device(central, tmp_path):
    (tmp_path / "ca.pem").write_text(central.ca_pem)
    (tmp_path / "guide.py").write_text(program_of_guide(central))
    run = subprocess.run([sys.executable, "guide.py"], cwd=tmp_path, capture_output=True, text=True, timeout=RUN_SECS_MAX)
    assert run.returncode == 0, run.stderr
    message = wait_until(lambda: central.messages("pump-7"), "the message of the guide's device")[0]
    assert message["body"] == {"flow": 12.5}
    assert central.call("GET", "/api/devices/pump-7")["provisioned"]
