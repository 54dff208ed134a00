// The unmodified Node device SDK with a certificate: provisions, sends one message; one JSON line an event.
const { readFileSync } = require('fs')
const { MqttBase } = require('azure-iot-mqtt-base')
const { Mqtt: ProvMqtt } = require('azure-iot-provisioning-device-mqtt')
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device')
const { Client, Message } = require('azure-iot-device')
const { Mqtt } = require('azure-iot-device-mqtt')

const { DPS_HOST, ID_SCOPE, REG_ID, CA_FILE, CERT_FILE, KEY_FILE } = process.env
const ca = readFileSync(CA_FILE, 'utf8')
const x509 = { cert: readFileSync(CERT_FILE, 'utf8'), key: readFileSync(KEY_FILE, 'utf8') }
const tell = (event, value) => console.log(JSON.stringify({ event, value }))

// What azure-iot-security-x509 is.
const security = { getRegistrationId: () => REG_ID, getCertificate: (callback) => callback(null, x509) }

async function main() {
  const base = new MqttBase()
  base.setOptions({ ca })
  const state = await ProvisioningDeviceClient.create(DPS_HOST, ID_SCOPE, new ProvMqtt(base), security).register()
  tell('assigned', state.assignedHub)
  const hub = Client.fromConnectionString(`HostName=${state.assignedHub};DeviceId=${state.deviceId};x509=true`, Mqtt)
  await hub.setOptions({ ca, ...x509 })
  await hub.open()
  const message = new Message(JSON.stringify({ text: 'node' }))
  message.contentType = 'application/json'
  message.contentEncoding = 'utf-8'
  await hub.sendEvent(message)
  tell('sent', null)
  await hub.close()
  process.exit(0)
}

main().catch((error) => {
  tell('error', String(error))
  process.exit(1)
})
