"""Deployment manifests for the tests, and what goes with them."""

from conftest import Central


def manifest(
    routes: dict, modules: dict[str, str], desired: dict | None = None, time_to_live_secs: int = 7200
) -> dict:
    system = {"type": "docker", "settings": {"image": "example.test/system:1.5", "createOptions": "{}"}}
    return {
        "modulesContent": {
            "$edgeAgent": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
                    "systemModules": {
                        "edgeAgent": system,
                        "edgeHub": {**system, "status": "running", "restartPolicy": "always"},
                    },
                    "modules": {
                        name: {
                            "version": "1.0",
                            "type": "docker",
                            "status": "running",
                            "restartPolicy": "always",
                            "settings": {"image": image, "createOptions": "{}"},
                        }
                        for name, image in modules.items()
                    },
                }
            },
            "$edgeHub": {
                "properties.desired": {
                    "schemaVersion": "1.1",
                    "routes": routes,
                    "storeAndForwardConfiguration": {"timeToLiveSecs": time_to_live_secs},
                }
            },
            **{name: {"properties.desired": value} for name, value in (desired or {}).items()},
        }
    }


def apply_manifest(central: Central, device_id: str, content: dict):
    central.call("POST", f"/api/devices/{device_id}/applyDeploymentManifest", {"displayName": "test", "data": content})


def device_key(central: Central, device_id: str) -> str:
    return central.call("GET", f"/api/devices/{device_id}/credentials")["symmetricKey"]["primaryKey"]


def attach(central: Central, gateway: str, leaf: str):
    central.call("PUT", f"/api/devices/{gateway}/relationships/{leaf}", {"source": gateway, "target": leaf})


# A device with one command, which waits for it.
QUEUED_TEMPLATE = {
    "@type": ["ModelDefinition", "DeviceModel"],
    "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
    "displayName": "Queued",
    "capabilityModel": {
        "@id": "dtmi:com:example:Queued;1",
        "@type": "Interface",
        "displayName": "Queued",
        "contents": [
            {
                "@type": "Command",
                "name": "restart",
                "durable": True,
                "request": {"@type": "CommandPayload", "name": "delay", "schema": "integer"},
            }
        ],
    },
}
