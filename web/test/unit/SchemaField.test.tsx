// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, expect, it, vi } from 'vitest'

import { SchemaField } from '../../src/forms/SchemaField'
import type { Capability, Schema } from '../../src/template'

afterEach(cleanup)

function capability(schema: Schema): Capability {
  return { name: 'speed', label: 'Speed', unit: 'm/s', schema }
}

it('labels a number with its unit and says what is wrong with it', () => {
  const onChange = vi.fn()
  render(<SchemaField capability={capability({ kind: 'integer' })} draft="5" onChange={onChange} problem="Too fast." />)
  const field = screen.getByRole('spinbutton', { name: 'Speed (m/s)' })
  expect(field.getAttribute('aria-invalid')).toBe('true')
  expect(screen.getByRole('alert').textContent).toBe('Too fast.')
  fireEvent.change(field, { target: { value: '7' } })
  expect(onChange).toHaveBeenCalledWith('7')
})

it('is a switch for a boolean and a choice for an enum', () => {
  const onChange = vi.fn()
  const { rerender } = render(<SchemaField capability={capability({ kind: 'boolean' })} draft={false} onChange={onChange} />)
  fireEvent.click(screen.getByRole('checkbox'))
  expect(onChange).toHaveBeenLastCalledWith(true)
  const options = [{ label: 'Slow', value: 1 }, { label: 'Fast', value: 2 }]
  rerender(<SchemaField capability={capability({ kind: 'enum', options })} draft="" onChange={onChange} />)
  fireEvent.change(screen.getByRole('combobox'), { target: { value: '2' } })
  expect(onChange).toHaveBeenLastCalledWith('2')
})

it('groups the fields of an object and keeps the others when one changes', () => {
  const onChange = vi.fn()
  const fields = [capability({ kind: 'number' }), { ...capability({ kind: 'string' }), name: 'mode', label: 'Mode', unit: '' }]
  render(<SchemaField capability={{ ...capability({ kind: 'object', fields }), label: 'Target' }} draft={{ speed: '1', mode: 'a' }} onChange={onChange} />)
  fireEvent.change(screen.getByRole('textbox', { name: 'Mode' }), { target: { value: 'b' } })
  expect(onChange).toHaveBeenCalledWith({ speed: '1', mode: 'b' })
})
