/** Programs shown to copy. Pure. */

/** Host of an endpoint that may be an address with scheme and port. */
export function hostOf(endpoint: string): string {
  return endpoint.replace(/^[a-z]+:\/\//, '').replace(/[:/].*$/, '')
}

/** Port of an endpoint that may be an address with scheme and port. */
export function portOf(endpoint: string): number {
  const port = /:(?<port>\d+)(?:\/|$)/.exec(endpoint)?.groups?.['port']
  return port === undefined ? 443 : Number(port)
}

/** A device that derives its key from the group's, provisions itself and sends one message. */
export function pythonDevice({ idScope, endpoint }: { idScope: string; endpoint: string }): string {
  return `import base64, hashlib, hmac, json
from azure.iot.device import IoTHubDeviceClient, Message, ProvisioningDeviceClient

device_id = "my-first-device"
group_key = "PRIMARY KEY OF THE ENROLLMENT GROUP"
ca = open("ca.pem").read()  # from the data folder of Central

derived = hmac.new(base64.b64decode(group_key), device_id.encode(), hashlib.sha256).digest()
device_key = base64.b64encode(derived).decode()

provisioning = ProvisioningDeviceClient.create_from_symmetric_key(
    "${hostOf(endpoint)}", device_id, "${idScope}", device_key, server_verification_cert=ca)
hub = provisioning.register().registration_state.assigned_hub

device = IoTHubDeviceClient.create_from_symmetric_key(device_key, hub, device_id, server_verification_cert=ca)
message = Message(json.dumps({"temperature": 21.5}), content_encoding="utf-8", content_type="application/json")
device.send_message(message)
device.shutdown()
`
}
