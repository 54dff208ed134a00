import type { Schemas } from '../api/client'
import { bytesText } from '../bytes'
import { Badge, type Tone } from '../ui/Badge'
import { Card } from '../ui/Card'
import { Empty, Notice, Warning } from '../ui/States'
import { Table, type Column } from '../ui/Table'
import styles from './ReadersPanel.module.css'
import { Ago } from './time'

type Reader = Schemas['ReaderHealth']
type Log = Schemas['LogHealth']

const WORDS: Record<Schemas['ReaderState'], { word: string; tone: Tone }> = {
  following: { word: 'Following', tone: 'good' },
  behind: { word: 'Behind', tone: 'warn' },
  notStoring: { word: 'Cannot store', tone: 'bad' },
  stopped: { word: 'Stopped', tone: 'bad' },
}

const COLUMNS: Column<Reader>[] = [
  {
    heading: 'Reader',
    cell: (reader) => (
      <div className={styles.name}>
        <strong>{reader.name}</strong>
        <div className={styles.soft}>{reader.about}</div>
      </div>
    ),
  },
  { heading: 'State', cell: (reader) => <div className={styles.state}><Badge tone={WORDS[reader.state].tone}>{WORDS[reader.state].word}</Badge></div> },
  {
    heading: 'Unread',
    cell: (reader) => (
      <div className={styles.figure}>
        {reader.lag.toLocaleString()}
        {reader.unreadSince ? <div className={styles.soft}>oldest from <Ago time={reader.unreadSince} /></div> : null}
      </div>
    ),
  },
  {
    heading: 'Not stored yet',
    cell: (reader) => (
      <div className={styles.figure}>
        {reader.uncommitted.toLocaleString()}
        <div className={styles.soft}>{reader.logWaits ? 'kept in the log' : 'the log does not wait'}</div>
      </div>
    ),
  },
  { heading: 'Last read', cell: (reader) => <div className={styles.figure}>{reader.lastMoved ? <Ago time={reader.lastMoved} /> : 'not since the start'}</div> },
]

/** What follows the log, how far each is, and what to do where one is not well. */
export function ReadersPanel({ readers, log }: { readers: Reader[]; log: Log }) {
  const unwell = readers.filter((reader) => reader.state !== 'following')
  return (
    <Card title="Readers of the log" hint="Each follows what was accepted at its own pace; none holds back another, or the devices." flush>
      {unwell.length > 0 ? (
        <div className={styles.advice}>
          {unwell.map((reader) => (
            <Advice key={reader.name} reader={reader} log={log} />
          ))}
        </div>
      ) : null}
      {readers.length === 0 ? (
        <Empty title="Nothing follows the log">Messages are accepted and kept, and nothing is made of them. Start Tidegate again, and report this if it stays.</Empty>
      ) : (
        <Table label="Readers of the log" columns={COLUMNS} rows={readers} rowKey={(reader) => reader.name} />
      )}
    </Card>
  )
}

function Advice({ reader, log }: { reader: Reader; log: Log }) {
  const kept = reader.logWaits
    ? `Nothing is lost: what it has not stored stays in the log. Only when the log reaches ${bytesText(log.bytesMax)} are messages refused.`
    : 'The log does not wait for it: what leaves the log before it comes, it misses.'
  if (reader.state === 'behind') {
    return (
      <Notice>
        <strong>{reader.name} is behind.</strong> It works, and {reader.lag.toLocaleString()} records wait for it. {kept}
        <p>It catches up by itself when fewer messages come. If its unread records grow for minutes, see whether the processor or the disk of this machine is busy all the time, and give it more of what is short.</p>
      </Notice>
    )
  }
  const stopped = reader.state === 'stopped'
  return (
    <Warning>
      <strong>{reader.name} {stopped ? 'stopped' : 'cannot store what it makes'}.</strong> {kept}
      <p className={styles.problem}><code>{reader.problem}</code></p>
      <p>
        {stopped
          ? 'It is started again by itself, with at most a minute between, from where it was. '
          : 'It reads on, and storing is tried again every few seconds. '}
        Mend what the reason names, most often a disk, a file’s owner or the database; Tidegate need not be started again. If the reason tells you nothing, run <code>tidegate doctor</code>, and look at the program’s log.
      </p>
    </Warning>
  )
}
