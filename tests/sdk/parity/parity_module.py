"""An edge module that tries every method of the Python SDK's module clients, and tells what came of it in a file."""

import json
import os
import pathlib
import sys
import threading

HERE = pathlib.Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1])]

from conftest import Central  # noqa: E402
from python_clients import CLIENTS, Identity, Loop, Trial  # noqa: E402
from table import Table  # noqa: E402


def main(folder: pathlib.Path, results: pathlib.Path):
    central, table, loop = Central(folder), Table(), Loop()
    central.reach()
    identity = Identity(central, os.environ["IOTEDGE_DEVICEID"], os.environ["IOTEDGE_MODULEID"])
    for transport in ("MQTT", "WebSocket"):
        for client_class in CLIENTS["IoTHubModuleClient"]:
            trial = Trial(table, loop, client_class, f"Edge, {transport}", identity)
            trial.with_handlers("create_from_edge_environment")
            trial.with_receive("create_from_edge_environment")
    rows = [[*row, table.details[row[:3]]] for row in table.rows()]
    unfinished = results.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(rows))
    unfinished.rename(results)
    # It would be started again.
    threading.Event().wait()


main(*map(pathlib.Path, sys.argv[1:]))
