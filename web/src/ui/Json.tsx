import styles from './Json.module.css'

/** A JSON value, indented, scrolling inside its own box. */
export function Json({ value, label }: { value: unknown; label: string }) {
  return <Code label={label} text={JSON.stringify(value, null, 2)} />
}

/** A text as it is: a command, a program, a document. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    // A box that scrolls has to be reachable by keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <pre className={styles.code} role="region" aria-label={label} tabIndex={0}>
      {text}
    </pre>
  )
}
