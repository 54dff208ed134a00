/** What a person typed for a schema, and the JSON value it means. Pure. */

import type { Capability, Schema } from '../template'

/** The state of a form field: text for what is typed, a nested record for an object, a flag for a boolean. */
export type Draft = string | boolean | { [field: string]: Draft }

export class Problem extends Error {}

const INTEGER_MAX = 2_147_483_647

/** What a field shows for a value the device has. */
export function draftOf(schema: Schema, value: unknown): Draft {
  if (schema.kind === 'boolean') return value === true
  if (schema.kind === 'object') {
    const held = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
    return Object.fromEntries((schema.fields ?? []).map((field) => [field.name, draftOf(field.schema, held[field.name])]))
  }
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function textOfDraft(draft: Draft | undefined): string {
  return typeof draft === 'string' ? draft.trim() : ''
}

function number(text: string, integer: boolean): number {
  const value = Number(text)
  if (text === '' || !Number.isFinite(value)) throw new Problem('A number is needed.')
  if (integer && !Number.isInteger(value)) throw new Problem('A whole number is needed.')
  if (integer && Math.abs(value) > INTEGER_MAX) throw new Problem('The number is too large.')
  return value
}

/** The JSON value of a draft; a [`Problem`] in words when it is none. */
export function valueOf(schema: Schema, draft: Draft | undefined): unknown {
  switch (schema.kind) {
    case 'boolean':
      return draft === true
    case 'integer':
      return number(textOfDraft(draft), true)
    case 'number':
      return number(textOfDraft(draft), false)
    case 'object': {
      const drafts = typeof draft === 'object' ? draft : {}
      return Object.fromEntries((schema.fields ?? []).map((field) => [field.name, fieldValue(field, drafts[field.name])]))
    }
    case 'enum': {
      const option = schema.options?.find((item) => String(item.value) === draft)
      if (!option) throw new Problem('Choose one.')
      return option.value
    }
    case 'map':
    case 'array':
    case 'geopoint':
    case 'vector':
    case 'unknown':
      return json(textOfDraft(draft))
    default:
      return textOfDraft(draft)
  }
}

function fieldValue(field: Capability, draft: Draft | undefined): unknown {
  try {
    return valueOf(field.schema, draft)
  } catch (error) {
    throw error instanceof Problem ? new Problem(`${field.label}: ${error.message}`) : error
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem('This is not JSON.')
  }
}

interface Changes {
  /** What is to be sent: only values that differ from the ones held. */
  changes: Record<string, unknown>
  /** What cannot be sent, in words. */
  problems: Record<string, string>
}

/** What the touched drafts change against the values held. */
export function changesOf<Field extends Capability>(fields: Field[], drafts: Record<string, Draft>, held: (field: Field) => unknown): Changes {
  const found: Changes = { changes: {}, problems: {} }
  for (const field of fields) {
    const draft = drafts[field.name]
    if (draft === undefined) continue
    try {
      const value = valueOf(field.schema, draft)
      if (!sameValue(value, held(field))) found.changes[field.name] = value
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      found.problems[field.name] = error.message
    }
  }
  return found
}

function sameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
