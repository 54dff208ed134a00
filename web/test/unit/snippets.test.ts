import { expect, test } from 'vitest'

import { hostOf, portOf } from '../../src/snippets'

test.each([
  ['https://iot.example.test:8443', 'iot.example.test', 8443],
  ['https://iot.example.test', 'iot.example.test', 443],
  ['iot.example.test:8443/', 'iot.example.test', 8443],
  ['iot.example.test', 'iot.example.test', 443],
])('the parts of %s', (endpoint, host, port) => {
  expect(hostOf(endpoint)).toBe(host)
  expect(portOf(endpoint)).toBe(port)
})
