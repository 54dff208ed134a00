import type { ReactNode } from 'react'

import styles from './States.module.css'

/** While something is fetched: the shape of what comes, not a spinner. */
export function Loading({ lines = 4, label = 'Loading' }: { lines?: number; label?: string }) {
  return (
    <div className={styles.bars} role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, index) => (
        <div key={index} className={styles.bar} style={{ width: `${String(90 - ((index * 17) % 45))}%` }} />
      ))}
    </div>
  )
}

/** Nothing there: says why, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className={styles.state}>
      <h3>{title}</h3>
      {children ? <div>{children}</div> : null}
    </div>
  )
}

/** Something failed: what, and what the server said. */
export function ErrorBox({ message, detail }: { message: string; detail?: string | undefined }) {
  return (
    <div className={styles.error} role="alert">
      {message}
      {detail ? <small>{detail}</small> : null}
    </div>
  )
}

/** Something does not work, and what can be done about it. */
export function Warning({ children }: { children: ReactNode }) {
  return (
    <div className={styles.error} role="alert">
      {children}
    </div>
  )
}

/** Something is not as usual, but nothing failed. */
export function Notice({ children }: { children: ReactNode }) {
  return (
    <div className={styles.notice} role="status">
      {children}
    </div>
  )
}
