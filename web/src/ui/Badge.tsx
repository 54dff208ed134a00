import type { ReactNode } from 'react'

import { classes } from './classes'
import styles from './Badge.module.css'

export type Tone = 'idle' | 'good' | 'warn' | 'bad' | 'accent'

/** A state in one word. The word carries the meaning; the colour only helps to find it. */
export function Badge({ tone = 'idle', children }: { tone?: Tone; children: ReactNode }) {
  return <span className={classes(styles.badge, tone !== 'idle' && styles[tone])}>{children}</span>
}
