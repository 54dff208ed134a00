import type { ReactNode } from 'react'

import styles from './Form.module.css'

interface Props {
  label: string
  onSubmit: () => void
  children: ReactNode
}

/** Fields below each other; Enter sends. */
export function Form({ label, onSubmit, children }: Props) {
  return (
    <form
      className={styles.form}
      aria-label={label}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        onSubmit()
      }}
    >
      {children}
    </form>
  )
}

export function FormActions({ children }: { children: ReactNode }) {
  return <div className={styles.actions}>{children}</div>
}
