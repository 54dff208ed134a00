"""The template of the devices of these tests: a command that is answered at once, and one that waits for the device."""

from copy import deepcopy

from deployments import QUEUED_TEMPLATE

TEMPLATE = "dtmi:com:example:Parity;1"
MODEL = deepcopy(QUEUED_TEMPLATE)
MODEL["capabilityModel"]["@id"] = "dtmi:com:example:ParityModel;1"
MODEL["capabilityModel"]["contents"].append({
    "@type": "Command",
    "name": "echo",
    "request": {"@type": "CommandPayload", "name": "text", "schema": "string"},
})
