import { useId, type ReactNode } from 'react'

import { classes } from './classes'
import styles from './Card.module.css'

interface Props {
  title: string
  hint?: ReactNode
  actions?: ReactNode
  /** Without inner padding, for tables. */
  flush?: boolean
  children: ReactNode
}

/** A titled part of a page, a landmark of its own. */
export function Card({ title, hint, actions, flush = false, children }: Props) {
  const id = useId()
  return (
    <section className={styles.card} aria-labelledby={id}>
      <header className={styles.head}>
        <div>
          <h2 id={id}>{title}</h2>
          {hint ? <p className={styles.hint}>{hint}</p> : null}
        </div>
        {actions}
      </header>
      <div className={classes(styles.body, flush && styles.flush)}>{children}</div>
    </section>
  )
}
