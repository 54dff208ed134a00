import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'

import type { Schemas } from '../api/client'
import { ApiError } from '../api/errors'
import { useLive } from '../api/live'
import { healthQuery } from '../api/queries'
import { bytesText } from '../bytes'
import { Interrupted } from '../components/Interrupted'
import { LoadFailure } from '../components/LoadFailure'
import { ReadersPanel } from '../components/ReadersPanel'
import { usePermission } from '../components/usePermission'
import { Badge } from '../ui/Badge'
import { Card } from '../ui/Card'
import { classes } from '../ui/classes'
import { Facts } from '../ui/Facts'
import { Page } from '../ui/Page'
import { Empty, Loading, Notice } from '../ui/States'
import styles from './HealthPage.module.css'

type Health = Schemas['InstallationHealth']

/** Share of its greatest size from which on the log is shown as nearly full. */
const LOG_NEARLY_FULL = 0.75

/** Whether the installation is well, and what to do where it is not. */
export function HealthPage() {
  const allowed = usePermission('installation.view')
  const health = useQuery({ ...healthQuery, enabled: allowed })
  const live = useLive(undefined, { resync: () => void health.refetch() })
  const refused = !allowed || (health.error instanceof ApiError && health.error.status === 403)

  if (refused) return <Frame><NotAllowed /></Frame>
  if (health.data) {
    return (
      <Frame hint={<>{sentenceOf(health.data)} <span className={styles.version}>Tidegate {health.data.version}</span></>} badge={<Badge tone={health.data.ready ? 'good' : 'bad'}>{health.data.ready ? 'Ready' : 'Not ready'}</Badge>}>
        {health.isError ? <Stale at={health.dataUpdatedAt} /> : <Interrupted live={live} />}
        <Content health={health.data} />
      </Frame>
    )
  }
  return (
    <Frame>
      <Card title="Readers of the log" flush={health.isPending}>
        {health.isPending ? <Loading lines={6} label="Loading the health" /> : null}
        {health.isError ? <LoadFailure error={health.error} /> : null}
        {health.isError ? <p className={styles.advice}>This page asks again by itself. Meanwhile <code>/health/ready</code> says without a sign-in what is not well, and <code>tidegate doctor</code> looks at the data folder.</p> : null}
      </Card>
    </Frame>
  )
}

function Frame({ hint = 'Whether this installation works, for those who run it.', badge, children }: { hint?: ReactNode; badge?: ReactNode; children: ReactNode }) {
  return <Page title="Health" badge={badge} hint={hint}>{children}</Page>
}

function NotAllowed() {
  return (
    <Empty title="This is for those who run the installation">
      <p>Readers, log and disk are shared by all applications, so only administrators of the first application see them. Ask one of them, or for their role there.</p>
    </Empty>
  )
}

function Stale({ at }: { at: number }) {
  return <Notice>Tidegate does not answer. What you see is from {new Date(at).toLocaleTimeString()}; this page asks again by itself.</Notice>
}

/** The state of the installation in one sentence. */
export function sentenceOf(health: Health): string {
  const behind = health.readers.filter((reader) => reader.state === 'behind').map((reader) => reader.name)
  if (!health.ready) return `Something does not work: ${health.problems.map((problem) => problem.condition).join(', ')}.`
  if (health.disk?.room === 'full') return 'The disk is full: messages and changes are refused.'
  if (behind.length > 0) return `Everything works, and ${behind.join(' and ')} is behind.`
  if (health.disk?.room === 'low') return 'Everything works, and the disk will soon be full.'
  return 'Everything works: what is accepted is read as it comes.'
}

function Content({ health }: { health: Health }) {
  return (
    <>
      <Problems health={health} />
      <ReadersPanel readers={health.readers} log={health.log} />
      <div className={styles.pair}>
        <LogCard log={health.log} />
        {health.disk ? <DiskCard disk={health.disk} /> : null}
      </div>
    </>
  )
}

const ADVICE: Record<string, string> = {
  log: 'Messages cannot be made durable, so none is acknowledged: devices keep theirs and send again. Make room on the disk, or see why its readers are behind; it goes on by itself.',
  registry: 'New connections, twins and this interface fail until the database answers. See whether it runs and can be reached; connected devices go on sending.',
  listeners: 'Central is starting or stopping. If this stays, see in the program’s log which address it cannot have.',
}

/** What does not hold besides the readers, which say it where they are listed. */
function Problems({ health }: { health: Health }) {
  const ofReaders = new Set(health.readers.map((reader) => `reader ${reader.name}`))
  const problems = health.problems.filter((problem) => !ofReaders.has(problem.condition))
  if (problems.length === 0) return null
  return (
    <Card title="What does not work">
      <ul className={styles.problems}>
        {problems.map((problem) => (
          <li key={problem.condition}>
            <Badge tone="bad">{problem.condition}</Badge> {problem.message}
            <p>{ADVICE[problem.condition] ?? 'The program’s log says more.'}</p>
          </li>
        ))}
      </ul>
    </Card>
  )
}

function LogCard({ log }: { log: Schemas['LogHealth'] }) {
  const share = log.bytes / log.bytesMax
  const records = log.nextOffset - log.firstOffset
  return (
    <Card title="Log" hint="What was accepted, until it is stored, and a margin.">
      <Bar share={share} look={share >= LOG_NEARLY_FULL ? 'warn' : undefined} />
      <Facts
        facts={[
          ['Size', `${bytesText(log.bytes)} of at most ${bytesText(log.bytesMax)}`],
          ['Records', records.toLocaleString()],
          ['Newest record', log.nextOffset > 0 ? (log.nextOffset - 1).toLocaleString() : 'none yet'],
        ]}
      />
      {share >= LOG_NEARLY_FULL ? <div className={styles.advice}><Notice>When the log is full, messages are refused until its readers have caught up. See which one has most that is not stored yet.</Notice></div> : null}
    </Card>
  )
}

const ROOM: Record<Schemas['DiskRoom'], { look: 'warn' | 'bad' | undefined; advice: string | undefined }> = {
  enough: { look: undefined, advice: undefined },
  low: { look: 'warn', advice: 'Less than 1 GiB is free. On a full disk messages and changes are refused, so make room, or move the data folder to a larger disk.' },
  full: { look: 'bad', advice: 'The disk is full: messages and changes are refused, and devices keep theirs. Make room; it goes on by itself.' },
}

function DiskCard({ disk }: { disk: Schemas['DiskHealth'] }) {
  const { look, advice } = ROOM[disk.room]
  const used = disk.totalBytes - disk.freeBytes
  return (
    <Card title="Disk" hint="The one the data folder is on.">
      <Bar share={used / disk.totalBytes} look={look} />
      <Facts facts={[['Free', `${bytesText(disk.freeBytes)} of ${bytesText(disk.totalBytes)}`]]} />
      {advice ? <div className={styles.advice}><Notice>{advice}</Notice></div> : null}
    </Card>
  )
}

/** A share, drawn. The figures beside it say the same. */
function Bar({ share, look }: { share: number; look: 'warn' | 'bad' | undefined }) {
  return (
    <div className={classes(styles.bar, look && styles[look])} aria-hidden="true">
      <div style={{ width: `${String(Math.min(100, Math.max(0, share * 100)))}%` }} />
    </div>
  )
}
