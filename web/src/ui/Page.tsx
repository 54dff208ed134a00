import { useEffect, type ReactNode } from 'react'

import styles from './Page.module.css'

interface Props {
  title: string
  crumbs?: ReactNode
  badge?: ReactNode
  hint?: ReactNode
  actions?: ReactNode
  children: ReactNode
}

/** A page: its one heading, what can be done here, and its parts below each other. */
export function Page({ title, crumbs, badge, hint, actions, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Tidegate`
  }, [title])
  return (
    <>
      <header className={styles.head}>
        <div>
          {crumbs ? <div className={styles.crumbs}>{crumbs}</div> : null}
          <div className={styles.title}>
            <h1>{title}</h1>
            {badge}
          </div>
          {hint ? <p className={styles.hint}>{hint}</p> : null}
        </div>
        {actions ? <div className={styles.actions}>{actions}</div> : null}
      </header>
      <div className={styles.stack}>{children}</div>
    </>
  )
}
