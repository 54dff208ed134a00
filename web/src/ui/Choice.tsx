import styles from './Choice.module.css'

interface Props<Value extends string> {
  label: string
  options: readonly { value: Value; label: string }[]
  chosen: readonly Value[]
  onToggle: (value: Value) => void
}

/** A row of small buttons, of which one or several are on. */
export function Choice<Value extends string>({ label, options, chosen, onToggle }: Props<Value>) {
  return (
    <div className={styles.choice} role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={chosen.includes(option.value)}
          onClick={() => {
            onToggle(option.value)
          }}
        >
          {option.label}
        </button>
      ))}
    </div>
  )
}
