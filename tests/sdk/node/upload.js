// The unmodified Node device SDK and the storage client it brings along: uploads files of the sizes it is given; one JSON line an event.
const { readFileSync } = require('fs')
const { Readable } = require('stream')
const { Client } = require('azure-iot-device')
const { Mqtt } = require('azure-iot-device-mqtt')

const { CONNECTION_STRING, CA_FILE, SIZES } = process.env
const tell = (event, value) => console.log(JSON.stringify({ event, value }))

async function main() {
  const hub = Client.fromConnectionString(CONNECTION_STRING, Mqtt)
  await hub.setOptions({ ca: readFileSync(CA_FILE, 'utf8') })
  await hub.open()
  for (const size of SIZES.split(',').map(Number)) {
    const bytes = Buffer.alloc(size, 'tide')
    await hub.uploadToBlob(`logs/${size}.bin`, Readable.from([bytes], { objectMode: false }), size)
    tell('uploaded', size)
  }
  await hub.close()
  process.exit(0)
}

main().catch((error) => {
  tell('error', String(error))
  process.exit(1)
})
