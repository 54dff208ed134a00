import { describe, expect, it } from 'vitest'

import { chartSeriesOf, schemaOf, schemaText, scopesOfTemplate, textOf } from '../../src/template'
import { edgeTemplate, tankTemplate } from '../fixtures/templates'

describe('scopesOfTemplate', () => {
  it('has nothing to say of a template without a model', () => {
    expect(scopesOfTemplate({})).toEqual([])
    expect(scopesOfTemplate({ capabilityModel: { '@type': 'Interface', contents: [] } })).toEqual([])
  })

  it('finds what a module inherits, and leaves out the empty device scope', () => {
    const [module, ...others] = scopesOfTemplate(edgeTemplate)
    expect(others).toEqual([])
    expect(module?.module).toBe('SimulatedTemperatureSensor')
    expect(module?.properties.map(({ name, writable, schema }) => [name, writable, schema.kind])).toEqual([
      ['SendData', true, 'boolean'],
      ['SendInterval', true, 'integer'],
    ])
    expect(module?.commands.map(({ name }) => name)).toEqual(['reset'])
  })

  it('tells writable, cloud and read-only properties apart', () => {
    const [device] = scopesOfTemplate(tankTemplate)
    expect(device?.properties.map(({ name, writable, cloud }) => [name, writable, cloud])).toEqual([
      ['firmware', false, false],
      ['targetLevel', true, false],
      ['site', false, true],
    ])
    expect(device?.commands[0]?.request?.schema.kind).toBe('number')
  })

  it('puts a component below its device or its module', () => {
    const part = { '@type': 'Interface', contents: [{ '@type': 'Telemetry', name: 'rpm', schema: 'integer' }] }
    const component = { '@type': 'Component', name: 'motor', schema: part }
    const module = { '@type': ['Relationship', 'EdgeModule'], name: 'plc', target: [{ '@type': 'Interface', contents: [component] }] }
    const scopes = scopesOfTemplate({ capabilityModel: { '@type': 'Interface', contents: [component, module] } })
    expect(scopes.map((scope) => [scope.module, scope.component])).toEqual([[undefined, 'motor'], ['plc', 'motor']])
    expect(scopes.flatMap(chartSeriesOf).map(({ key }) => key)).toEqual(['motor.rpm', 'plc.motor.rpm'])
  })

  it('ends at an interface that inherits from itself', () => {
    const circle: Record<string, unknown> = { '@type': 'Interface', contents: [] }
    circle['extends'] = [circle]
    expect(scopesOfTemplate({ capabilityModel: circle })).toEqual([])
  })
})

describe('chartSeriesOf', () => {
  it('draws the numeric fields of an object, machine temperature first', () => {
    const series = scopesOfTemplate(edgeTemplate).flatMap(chartSeriesOf)
    expect(series.map(({ key, label }) => [key, label])).toEqual([
      ['SimulatedTemperatureSensor.machine.temperature', 'Machine temperature'],
      ['SimulatedTemperatureSensor.machine.pressure', 'Machine pressure'],
      ['SimulatedTemperatureSensor.ambient.temperature', 'Ambient temperature'],
      ['SimulatedTemperatureSensor.ambient.humidity', 'Ambient humidity'],
    ])
  })

  it('carries the unit', () => {
    const units = scopesOfTemplate(tankTemplate).flatMap(chartSeriesOf).map(({ unit }) => unit)
    expect(units).toEqual(['m', '°C'])
  })
})

describe('schemaOf', () => {
  it.each([
    ['double', 'number'],
    ['long', 'integer'],
    [{ '@type': 'Enum', enumValues: [{ name: 'on', displayName: 'On', enumValue: 1 }] }, 'one of On'],
    [{ '@type': 'Object', fields: [{ name: 'lat', schema: 'double' }] }, 'object of lat (number)'],
    [{ '@type': 'Map' }, 'map'],
    ['dtmi:unknown;1', 'anything'],
    [undefined, 'anything'],
  ])('reads %j as %s', (schema, text) => {
    expect(schemaText(schemaOf(schema))).toBe(text)
  })
})

describe('textOf', () => {
  it.each([
    ['Tank', 'Tank'],
    [{ de: 'Behälter', en: 'Tank' }, 'Tank'],
    [{ de: 'Behälter' }, 'Behälter'],
    [undefined, undefined],
  ])('chooses from %j', (value, text) => {
    expect(textOf(value)).toBe(text)
  })
})
