// The unmodified Node device SDK: provisions, sends, answers a method, takes messages, works with its twin; one JSON line an event.
const { readFileSync } = require('fs')
const { createHmac } = require('crypto')
const { MqttBase } = require('azure-iot-mqtt-base')
const provisioning = require('azure-iot-provisioning-device-mqtt')
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device')
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key')
const { Client, Message } = require('azure-iot-device')
const device = require('azure-iot-device-mqtt')

const { DPS_HOST, ID_SCOPE, REG_ID, GROUP_KEY, CA_FILE, MODEL_ID } = process.env
// `Mqtt`, or `MqttWs` over WebSocket.
const TRANSPORT = process.env.TRANSPORT || 'Mqtt'
const ca = readFileSync(CA_FILE, 'utf8')
const key = createHmac('sha256', Buffer.from(GROUP_KEY, 'base64')).update(REG_ID, 'utf8').digest('base64')
const tell = (event, value) => console.log(JSON.stringify({ event, value }))

async function main() {
  const base = new MqttBase()
  base.setOptions({ ca })
  const dps = ProvisioningDeviceClient.create(DPS_HOST, ID_SCOPE, new provisioning[TRANSPORT](base), new SymmetricKeySecurityClient(REG_ID, key))
  dps.setProvisioningPayload({ modelId: MODEL_ID })
  const state = await dps.register()
  tell('assigned', state.assignedHub)

  const hub = Client.fromConnectionString(`HostName=${state.assignedHub};DeviceId=${state.deviceId};SharedAccessKey=${key}`, device[TRANSPORT])
  await hub.setOptions({ ca, modelId: MODEL_ID })
  await hub.open()
  hub.onDeviceMethod('greet', (request, response) => response.send(200, { hello: request.payload }))
  hub.on('message', (message) => {
    const command = message.properties.getValue('method-name')
    hub.complete(message, (error) => tell('message', error ? String(error) : { command, request: JSON.parse(message.getData()) }))
  })
  const twin = await hub.getTwin()
  twin.on('properties.desired.target', (target) => {
    const version = twin.properties.desired.$version
    twin.properties.reported.update({ target: { value: target, ac: 200, av: version, ad: 'ok' } }, (error) =>
      tell('acknowledged', error ? String(error) : target))
  })
  await new Promise((resolve, reject) =>
    twin.properties.reported.update({ firmware: 'node' }, (error) => (error ? reject(error) : resolve())))
  for (let number = 0; number < 10; number++) {
    const message = new Message(JSON.stringify({ number }))
    message.contentType = 'application/json'
    message.contentEncoding = 'utf-8'
    message.properties.add('colour', 'light blue')
    await hub.sendEvent(message)
  }
  tell('ready', null)
  // The test closes standard input when it has seen enough.
  process.stdin.resume()
  process.stdin.on('end', async () => {
    await hub.close()
    process.exit(0)
  })
}

main().catch((error) => {
  tell('error', String(error))
  process.exit(1)
})
