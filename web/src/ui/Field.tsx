import { useId, type ReactNode } from 'react'

import { classes } from './classes'
import styles from './Field.module.css'

interface FieldProps {
  label: string
  hint?: string | undefined
  problem?: string | undefined
}

/** Label, control, hint and problem, tied together for those who do not see them. */
function Field({ label, hint, problem, children }: FieldProps & { children: (ids: { id: string; describedBy: string | undefined }) => ReactNode }) {
  const id = useId()
  const describedBy = (hint ?? problem) !== undefined ? `${id}-about` : undefined
  return (
    <div className={styles.field}>
      <label htmlFor={id}>{label}</label>
      {children({ id, describedBy })}
      {describedBy ? (
        <div id={describedBy}>
          {hint ? <div className={styles.hint}>{hint}</div> : null}
          {problem ? (
            <div className={styles.problem} role="alert">
              {problem}
            </div>
          ) : null}
        </div>
      ) : null}
    </div>
  )
}

interface TextProps extends FieldProps {
  value: string
  onChange: (value: string) => void
  placeholder?: string
  type?: string
  step?: string
}

export function TextField({ label, hint, problem, value, onChange, placeholder, type = 'text', step }: TextProps) {
  return (
    <Field label={label} hint={hint} problem={problem}>
      {({ id, describedBy }) => (
        <input
          id={id}
          className={styles.input}
          type={type}
          step={step}
          value={value}
          placeholder={placeholder}
          aria-describedby={describedBy}
          aria-invalid={problem !== undefined}
          onChange={(event) => {
            onChange(event.target.value)
          }}
        />
      )}
    </Field>
  )
}

interface AreaProps extends FieldProps {
  value: string
  onChange: (value: string) => void
  rows?: number
}

export function TextArea({ label, hint, problem, value, onChange, rows = 4 }: AreaProps) {
  return (
    <Field label={label} hint={hint} problem={problem}>
      {({ id, describedBy }) => (
        <textarea
          id={id}
          className={classes(styles.input, 'mono')}
          rows={rows}
          spellCheck={false}
          value={value}
          aria-describedby={describedBy}
          aria-invalid={problem !== undefined}
          onChange={(event) => {
            onChange(event.target.value)
          }}
        />
      )}
    </Field>
  )
}

interface SelectProps extends FieldProps {
  value: string
  onChange: (value: string) => void
  options: { value: string; label: string }[]
}

export function SelectField({ label, hint, problem, value, onChange, options }: SelectProps) {
  return (
    <Field label={label} hint={hint} problem={problem}>
      {({ id, describedBy }) => (
        <select
          id={id}
          className={styles.select}
          value={value}
          aria-describedby={describedBy}
          onChange={(event) => {
            onChange(event.target.value)
          }}
        >
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}

interface CheckProps {
  label: string
  checked: boolean
  onChange: (checked: boolean) => void
}

export function CheckField({ label, checked, onChange }: CheckProps) {
  return (
    <label className={styles.check}>
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => {
          onChange(event.target.checked)
        }}
      />
      {label}
    </label>
  )
}

export function FieldGroup({ label, children }: { label: string; children: ReactNode }) {
  return (
    <fieldset className={styles.group}>
      <legend className={styles.legend}>{label}</legend>
      {children}
    </fieldset>
  )
}
