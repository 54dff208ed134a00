import type { Capability } from '../template'
import { CheckField, FieldGroup, SelectField, TextArea, TextField } from '../ui/Field'
import type { Draft } from './value'

interface Props {
  capability: Capability
  draft: Draft
  onChange: (draft: Draft) => void
  problem?: string | undefined
}

const INPUT_TYPES: Partial<Record<Capability['schema']['kind'], string>> = { date: 'date', time: 'time' }
const HINTS: Partial<Record<Capability['schema']['kind'], string>> = {
  dateTime: 'Such as 2026-05-01T10:00:00Z',
  duration: 'Such as PT10M',
  geopoint: 'JSON: {"lat": 52.5, "lon": 13.4}',
  vector: 'JSON: {"x": 0, "y": 0, "z": 1}',
  map: 'JSON object',
  array: 'JSON list',
  unknown: 'JSON',
}

/** The right control for a schema; an object becomes a group of its fields. */
export function SchemaField({ capability, draft, onChange, problem }: Props) {
  const { schema } = capability
  const label = capability.unit ? `${capability.label} (${capability.unit})` : capability.label
  const hint = HINTS[schema.kind] ?? capability.description
  const text = typeof draft === 'string' ? draft : ''
  switch (schema.kind) {
    case 'boolean':
      return <CheckField label={label} checked={draft === true} onChange={onChange} />
    case 'enum': {
      const options = (schema.options ?? []).map((option) => ({ value: String(option.value), label: option.label }))
      return <SelectField label={label} problem={problem} value={text} onChange={onChange} options={[{ value: '', label: 'Choose' }, ...options]} />
    }
    case 'object': {
      const drafts = typeof draft === 'object' ? draft : {}
      return (
        <FieldGroup label={label}>
          {(schema.fields ?? []).map((field) => (
            <SchemaField
              key={field.name}
              capability={field}
              draft={drafts[field.name] ?? ''}
              onChange={(value) => {
                onChange({ ...drafts, [field.name]: value })
              }}
            />
          ))}
        </FieldGroup>
      )
    }
    case 'map':
    case 'array':
    case 'geopoint':
    case 'vector':
    case 'unknown':
      return <TextArea label={label} hint={hint} problem={problem} value={text} onChange={onChange} />
    case 'integer':
    case 'number':
      return <TextField label={label} hint={hint} problem={problem} type="number" step={schema.kind === 'integer' ? '1' : 'any'} value={text} onChange={onChange} />
    default:
      return <TextField label={label} hint={hint} problem={problem} type={INPUT_TYPES[schema.kind] ?? 'text'} value={text} onChange={onChange} />
  }
}
