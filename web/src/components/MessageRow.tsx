import { useState } from 'react'

import type { Schemas } from '../api/client'
import { CopyButton } from '../ui/CopyButton'
import { Code } from '../ui/Json'
import styles from './MessagesPanel.module.css'

type Message = Schemas['RawMessage']

/** One message: when, from where and how it begins; all of it when opened. */
export function MessageRow({ message }: { message: Message }) {
  const [open, setOpen] = useState(false)
  const source = [message.module, message.component].filter((part) => part !== undefined).join(' · ')
  return (
    <li>
      <details
        className={styles.row}
        onToggle={(event) => {
          setOpen(event.currentTarget.open)
        }}
      >
        <summary>
          <time dateTime={message.enqueuedTime}>{new Date(message.enqueuedTime).toLocaleString()}</time>
          <span className={styles.source}>{source === '' ? 'Device' : source}</span>
          <code className={styles.body}>{bodyOf(message, 0)}</code>
        </summary>
        {open ? <Detail message={message} /> : null}
      </details>
    </li>
  )
}

function Detail({ message }: { message: Message }) {
  const body = bodyOf(message, 2)
  return (
    <div className={styles.detail}>
      <section className={styles.part} aria-label="Body">
        <div className={styles.partHead}>
          <h3>{message.bodyBase64 === undefined ? 'Body' : 'Body (base64)'}</h3>
          <CopyButton text={body} label="Copy the body" />
        </div>
        <Code label="Message body" text={body} />
      </section>
      <section className={styles.part} aria-label="Properties">
        <Pairs title="Application properties" pairs={message.properties} />
        <Pairs title="System properties" pairs={{ ...message.systemProperties, offset: String(message.offset) }} />
      </section>
    </div>
  )
}

function Pairs({ title, pairs }: { title: string; pairs: Record<string, string> }) {
  const entries = Object.entries(pairs)
  return (
    <>
      <h3>{title}</h3>
      {entries.length === 0 ? (
        <p className={styles.source}>none</p>
      ) : (
        <dl className={styles.pairs}>
          {entries.map(([name, value]) => (
            <div key={name} style={{ display: 'contents' }}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
    </>
  )
}

function bodyOf(message: Message, indent: number): string {
  return message.bodyText ?? message.bodyBase64 ?? JSON.stringify(message.body, null, indent)
}
