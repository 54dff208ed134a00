import { describe, expect, it } from 'vitest'

import { changesOf, draftOf, valueOf } from '../../src/forms/value'
import type { Capability, Schema } from '../../src/template'

const place: Schema = {
  kind: 'object',
  fields: [
    { name: 'lat', label: 'Latitude', schema: { kind: 'number' } },
    { name: 'on', label: 'On', schema: { kind: 'boolean' } },
  ],
}
const mode: Schema = { kind: 'enum', options: [{ label: 'Off', value: 0 }, { label: 'On', value: 1 }] }

describe('valueOf', () => {
  it.each<[Schema, Parameters<typeof valueOf>[1], unknown]>([
    [{ kind: 'boolean' }, true, true],
    [{ kind: 'boolean' }, undefined, false],
    [{ kind: 'integer' }, ' 12 ', 12],
    [{ kind: 'integer' }, '2147483647', 2_147_483_647],
    [{ kind: 'number' }, '-1.5', -1.5],
    [{ kind: 'string' }, '', ''],
    [{ kind: 'duration' }, 'PT10M', 'PT10M'],
    [mode, '1', 1],
    [place, { lat: '52.5', on: true }, { lat: 52.5, on: true }],
    [{ kind: 'map' }, '{"a": 1}', { a: 1 }],
  ])('reads %j from %j', (schema, draft, value) => {
    expect(valueOf(schema, draft)).toEqual(value)
  })

  it.each<[Schema, Parameters<typeof valueOf>[1], string]>([
    [{ kind: 'integer' }, '', 'A number is needed.'],
    [{ kind: 'integer' }, '1.5', 'A whole number is needed.'],
    [{ kind: 'number' }, 'warm', 'A number is needed.'],
    [mode, '2', 'Choose one.'],
    [{ kind: 'array' }, '[', 'This is not JSON.'],
    [place, { lat: 'north' }, 'Latitude: A number is needed.'],
  ])('refuses %j from %j', (schema, draft, words) => {
    expect(() => valueOf(schema, draft)).toThrow(words)
  })

  it('shows a value the way it is read back', () => {
    for (const [schema, value] of [[mode, 1], [place, { lat: 1, on: false }], [{ kind: 'integer' }, 5], [{ kind: 'map' }, { a: 1 }]] as const) {
      expect(valueOf(schema, draftOf(schema, value))).toEqual(value)
    }
  })
})

describe('changesOf', () => {
  const fields: Capability[] = [
    { name: 'interval', label: 'Interval', schema: { kind: 'integer' } },
    { name: 'on', label: 'On', schema: { kind: 'boolean' } },
  ]
  const held = ({ name }: Capability) => ({ interval: 10, on: true })[name]

  it('sends only what differs', () => {
    expect(changesOf(fields, {}, held)).toEqual({ changes: {}, problems: {} })
    expect(changesOf(fields, { interval: '10', on: false }, held)).toEqual({ changes: { on: false }, problems: {} })
  })

  it('tells what cannot be sent', () => {
    expect(changesOf(fields, { interval: 'x' }, held)).toEqual({ changes: {}, problems: { interval: 'A number is needed.' } })
  })
})
