// Every public method of the Node SDK's clients over one transport; one JSON line a row of the table.
const { readFileSync } = require('fs')
const { createHmac, randomUUID } = require('crypto')
const { once } = require('events')
const { Readable } = require('stream')
const https = require('https')
const sdk = (name) => require(require.resolve(name, { paths: [`${__dirname}/../node`] }))

const device = sdk('azure-iot-device')
const { NoRetry } = sdk('azure-iot-common')
const { MqttBase } = sdk('azure-iot-mqtt-base')
const { ProvisioningDeviceClient } = sdk('azure-iot-provisioning-device')
const { SymmetricKeySecurityClient } = sdk('azure-iot-security-symmetric-key')

const CONFIG = JSON.parse(process.env.CONFIG)
const { host, idScope, transport, identities, adminToken } = CONFIG
const ca = readFileSync(CONFIG.caFile, 'utf8')
const WAIT_MS = 10000
const TRANSPORTS = {
  MQTT: [sdk('azure-iot-device-mqtt').Mqtt, () => withCa(sdk('azure-iot-provisioning-device-mqtt').Mqtt, MqttBase)],
  WebSocket: [sdk('azure-iot-device-mqtt').MqttWs, () => withCa(sdk('azure-iot-provisioning-device-mqtt').MqttWs, MqttBase)],
  HTTP: [sdk('azure-iot-device-http').Http, () => new (sdk('azure-iot-provisioning-device-http').Http)()]
}
const [Transport, provisioningTransport] = TRANSPORTS[transport]

function withCa(Transport, Base) {
  const base = new Base()
  base.setOptions({ ca })
  return new Transport(base)
}

const tell = (client, member, way, outcome, detail) => console.log(JSON.stringify({ client, member, way, outcome, detail }))

async function tried(client, member, way, act) {
  try {
    const given = await within(act(), member)
    tell(client, member, way, 'works', '')
    return given
  } catch (error) {
    tell(client, member, way, error.name === 'Error' ? error.constructor.name : error.name, String(error.stack))
  }
}

function within(promise, what) {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new RangeError(`waited for ${what}`)), WAIT_MS) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function call(method, path, body, version = true) {
  return new Promise((resolve, reject) => {
    const url = `https://${host}${path}${version ? (path.includes('?') ? '&' : '?') + 'api-version=2022-10-31-preview' : ''}`
    const request = https.request(url, { method, ca, headers: { Authorization: adminToken, 'Content-Type': 'application/json' } })
    request.on('response', async (response) => {
      let text = ''
      for await (const part of response) text += part
      if (response.statusCode >= 300) reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))
      else resolve(text ? JSON.parse(text) : undefined)
    })
    request.on('error', reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

async function until(condition) {
  for (const end = Date.now() + WAIT_MS; Date.now() < end;) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new RangeError('it did not come about')
}

const arrived = (id, texts) => until(async () => {
  const found = (await call('GET', `/api/ext/v1/devices/${id}/messages?limit=100`, undefined, false)).value
  return texts.every((text) => found.some((message) => message.body.text === text))
})

function message(text) {
  const made = new device.Message(JSON.stringify({ text }))
  made.contentType = 'application/json'
  made.contentEncoding = 'utf-8'
  return made
}

function token(id, key, ttlSecs = 3600) {
  const audience = encodeURIComponent(`${host}/devices/${id}`)
  const expiry = Math.floor(Date.now() / 1000) + ttlSecs
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${audience}\n${expiry}`).digest('base64')
  return `SharedAccessSignature sr=${audience}&sig=${encodeURIComponent(signature)}&se=${expiry}`
}

// How a client is made of an identity, by the name of the constructor.
const MAKE = {
  fromConnectionString: (Client, { id, key, x509 }) =>
    Client.fromConnectionString(`HostName=${host};DeviceId=${id};${x509 ? 'x509=true' : 'SharedAccessKey=' + key}`, Transport),
  fromSharedAccessSignature: (Client, { id, key, ttlSecs }) => Client.fromSharedAccessSignature(token(id, key, ttlSecs), Transport),
  fromAuthenticationProvider: (Client, { id, key, x509 }) =>
    Client.fromAuthenticationProvider(x509
      ? new device.X509AuthenticationProvider({ host, deviceId: id, x509: { ...x509 } })
      : device.SharedAccessKeyAuthenticationProvider.fromConnectionString(`HostName=${host};DeviceId=${id};SharedAccessKey=${key}`), Transport)
}

async function made(name, identity) {
  const client = MAKE[name](device.Client, identity)
  client.on('error', () => {})
  await client.setOptions({ ca, ...identity.x509, ...(transport === 'HTTP' ? { http: { receivePolicy: { interval: 1 } } } : {}) })
  return client
}

async function send(client, id) {
  const text = randomUUID()
  await client.sendEvent(message(text))
  await arrived(id, [text])
}

async function tryDevice(way, identity) {
  const { id, key } = identity
  const row = (member, act) => tried('Node Client', member, way, act)
  for (const name of Object.keys(MAKE).filter((name) => key || name !== 'fromSharedAccessSignature')) {
    await row(name, async () => {
      const client = await made(name, identity)
      await client.open()
      await send(client, id)
      if (name === 'fromSharedAccessSignature') {
        await row('updateSharedAccessSignature', async () => {
          await client.updateSharedAccessSignature(token(id, key, 7200))
          await send(client, id)
        })
      }
      await client.close()
    })
  }
  const client = await row('setOptions', () => made('fromConnectionString', identity))
  await row('setTransportOptions', () => client.setTransportOptions(transport === 'HTTP' ? { interval: 1 } : { ca, ...identity.x509 }))
  await row('setRetryPolicy', async () => client.setRetryPolicy(new NoRetry()))
  await row('open', () => client.open())
  await row('sendEvent', () => send(client, id))
  await row('sendEventBatch', async () => {
    const texts = [randomUUID(), randomUUID()]
    await client.sendEventBatch(texts.map(message))
    await arrived(id, texts)
  })
  await tryTwin(row, client, id)
  await tryMethod(row, client, id)
  await tryMessages(row, client, id)
  const place = await row('getBlobSharedAccessSignature', () => client.getBlobSharedAccessSignature('a.txt'))
  await row('notifyBlobUploadStatus', () => client.notifyBlobUploadStatus(place?.correlationId ?? 'none', false, 500, 'not sent'))
  const text = Readable.from([Buffer.from('text')], { objectMode: false })
  await row('uploadToBlob', () => client.uploadToBlob('a.txt', text, 4))
  await row('close', () => client.close())
}

async function tryTwin(row, client, id) {
  const twin = await row('getTwin', () => client.getTwin())
  if (!twin) return
  await row('Twin.get', () => new Promise((resolve, reject) => twin.get((error) => (error ? reject(error) : resolve()))))
  await row('Twin reported update', async () => {
    const value = randomUUID()
    await new Promise((resolve, reject) => twin.properties.reported.update({ firmware: value }, (error) => (error ? reject(error) : resolve())))
    const path = `/api/ext/v1/devices/${id}/twin`
    await until(async () => (await call('GET', path, undefined, false)).properties.reported.firmware === value)
  })
  await row('Twin desired change', async () => {
    const changed = new Promise((resolve) => twin.on('properties.desired.target', resolve))
    for (let number = 1, done = false; !done; number++) {
      // It subscribes with the first listener, and says nothing when it has.
      await call('PATCH', `/api/devices/${id}/properties?unmodeled=true`, { target: number })
      done = await Promise.race([changed.then(() => true), new Promise((resolve) => setTimeout(resolve, 100, false))])
    }
  })
}

const tryMethod = (row, client, id) => row('onDeviceMethod', async () => {
  client.onDeviceMethod('echo', (request, response) => response.send(200, { echo: request.payload }))
  if (transport === 'HTTP') await once(client, 'error').then(([error]) => { throw error })
  const result = await call('POST', `/api/devices/${id}/commands/echo`, { request: 'ping', connectionTimeout: 20 })
  if (result.responseCode !== 200 || result.response.echo !== 'ping') throw new Error(JSON.stringify(result))
})

async function tryMessages(row, client, id) {
  const waiting = []
  const listeners = []
  client.on('message', (received) => (listeners.length ? listeners.shift()(received) : waiting.push(received)))
  const next = () => (waiting.length ? waiting.shift() : new Promise((resolve) => listeners.push(resolve)))
  const queue = (number) => call('POST', `/api/devices/${id}/commands/restart`, { request: number })
  const expect = async (number) => {
    const received = await next()
    if (JSON.parse(received.getData()) !== number) throw new Error(`${received.getData()}, not ${number}`)
    return received
  }
  await queue(1)
  const first = await row('message (event)', () => expect(1))
  // What is abandoned comes again, over the transports that can.
  const again = await row('abandon', async () => {
    await client.abandon(first)
    return expect(1)
  })
  await row('complete', () => client.complete(again || first))
  await row('reject', async () => {
    await queue(2)
    await client.reject(await expect(2))
  })
}

function provisioningClient(identity, scope = idScope) {
  const security = identity.x509
    ? { getRegistrationId: () => identity.id, getCertificate: (callback) => callback(null, identity.x509) }
    : new SymmetricKeySecurityClient(identity.id, identity.key)
  return ProvisioningDeviceClient.create(host, scope, provisioningTransport(), security)
}

async function tryProvisioning(way, identity) {
  const row = (member, act) => tried('Node ProvisioningDeviceClient', member, way, act)
  const client = await row('create', async () => provisioningClient(identity))
  await row('setProvisioningPayload', async () => client.setProvisioningPayload({ modelId: CONFIG.template }))
  await row('register', async () => {
    const state = await client.register()
    if (state.assignedHub !== host || state.deviceId !== identity.id) throw new Error(JSON.stringify(state))
  })
  await row('cancel', () => new Promise((resolve, reject) => provisioningClient(identity).cancel((error) => (error ? reject(error) : resolve()))))
}

async function tryErrors() {
  const connect = (name, identity) => async () => {
    const client = await made(name, identity)
    client.setRetryPolicy(new NoRetry())
    try {
      await client.open()
      await client.sendEvent(message('x'))
    } finally {
      client.close(() => {})
    }
  }
  const { good, off, offGroup, strange } = identities
  const nobodys = 'bm90IHRoZSBrZXk='
  const row = (situation, act) => tried('Node Client errors', situation, transport, act)
  await row('wrong key', connect('fromConnectionString', { ...good, key: nobodys }))
  await row('unknown device', connect('fromConnectionString', { id: 'nobody', key: nobodys }))
  await row('disabled device', connect('fromConnectionString', off))
  await row('expired token', connect('fromSharedAccessSignature', { ...good, ttlSecs: -3600 }))
  await row('certificate of somebody else', connect('fromConnectionString', strange))
  const registers = (identity, scope) => () => provisioningClient(identity, scope).register()
  const dps = (situation, act) => tried('Node ProvisioningDeviceClient errors', situation, transport, act)
  await dps('wrong key', registers({ ...good, key: nobodys }))
  await dps('unknown id scope', registers(good, '0ne0000000F'))
  await dps('disabled device', registers(off))
  await dps('disabled enrollment group', registers(offGroup))
  await dps('certificate of somebody else', registers(strange))
}

function publicMembers() {
  const names = new Set()
  for (let at = device.Client.prototype; at.constructor.name !== 'EventEmitter'; at = Object.getPrototypeOf(at)) {
    Object.getOwnPropertyNames(at).forEach((name) => names.add(name))
  }
  Object.getOwnPropertyNames(device.Client).filter((name) => typeof device.Client[name] === 'function').forEach((name) => names.add(name))
  const registration = Object.getPrototypeOf(provisioningClient({ id: 'a', key: 'YQ==' }))
  const provisioning = ['create', ...Object.getOwnPropertyNames(registration)]
  const shown = (all) => [...all].filter((name) => !name.startsWith('_') && name !== 'constructor' && name !== 'prototype')
  return { 'Node Client': shown(names), 'Node ProvisioningDeviceClient': shown(provisioning) }
}

async function main() {
  console.log(JSON.stringify({ members: publicMembers() }))
  const { good, certified } = identities
  await Promise.all([
    tryProvisioning(`${transport}, key`, good).then(() => tryDevice(`${transport}, key`, good)),
    tryProvisioning(`${transport}, X.509`, certified).then(() => tryDevice(`${transport}, X.509`, certified)),
    tryErrors()
  ])
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
