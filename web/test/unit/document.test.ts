import { describe, expect, it } from 'vitest'

import { parseDocument, slugOf, templateIdOf, titleOf } from '../../src/forms/document'
import { modulesOfManifest } from '../../src/manifest'
import { hostOf } from '../../src/snippets'

describe('parseDocument', () => {
  it('tells nothing, a document and a mistake apart', () => {
    expect(parseDocument('  ')).toEqual({})
    expect(parseDocument('{"a": 1}')).toEqual({ document: { a: 1 } })
    expect(parseDocument('[]').problem).toBe('A JSON object is needed.')
    expect(parseDocument('{').problem).toBeTruthy()
  })
})

describe('names', () => {
  it.each([
    ['simulated-temperature-sensor.json', 'Simulated temperature sensor'],
    ['deployment.template.json', 'Deployment'],
    ['pump.amd64.json', 'Pump'],
  ])('%s reads %s', (file, title) => {
    expect(titleOf(file)).toBe(title)
  })

  it('makes ids a DTMI can hold', () => {
    expect(slugOf('Simulated temperature sensor')).toBe('simulatedTemperatureSensor')
    expect(slugOf('3 pumps')).toBe('t3Pumps')
    expect(templateIdOf('Pump (hall 2)')).toBe('dtmi:modelDefinition:tidegate:pumpHall2;1')
  })
})

describe('modulesOfManifest', () => {
  const manifest = { modulesContent: { $edgeAgent: { 'properties.desired': { modules: { sensor: {}, filter: {} } } } } }
  it.each([
    [manifest, ['sensor', 'filter']],
    [{ content: manifest }, ['sensor', 'filter']],
    [{}, []],
    [undefined, []],
  ])('reads %j', (document, modules) => {
    expect(modulesOfManifest(document)).toEqual(modules)
  })
})

describe('hostOf', () => {
  it.each(['https://hub.example:8443', 'hub.example:8443', 'hub.example', 'https://hub.example/path'])('%s', (endpoint) => {
    expect(hostOf(endpoint)).toBe('hub.example')
  })
})
