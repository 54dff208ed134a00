import { useEffect, useState } from 'react'

import { Badge } from '../ui/Badge'
import { Card } from '../ui/Card'
import { Json } from '../ui/Json'
import { ErrorBox } from '../ui/States'
import styles from './CommandRuns.module.css'

/** One run of a command, from the click to its outcome. */
export interface Run {
  id: string
  command: string
  source: string
  startedMs: number
  outcome?: { tookMs: number } & ({ code: number; answer: unknown } | { error: string })
}

/** The runs of this page, newest first. */
export function CommandRuns({ runs }: { runs: Run[] }) {
  if (runs.length === 0) return null
  return (
    <Card title="Runs from this page" flush>
      <ol className={styles.runs} aria-label="Runs" aria-live="polite">
        {runs.map((run) => (
          <li key={run.id} aria-label={`Run of ${run.command}`}>
            <header className={styles.head}>
              <Outcome run={run} />
              <strong>{run.command}</strong>
              <span className={styles.soft}>{run.source}</span>
              <span className={styles.soft}>{new Date(run.startedMs).toLocaleTimeString()}</span>
              <span className={styles.soft}>{run.outcome ? durationText(run.outcome.tookMs) : <Elapsed sinceMs={run.startedMs} />}</span>
            </header>
            {run.outcome && 'error' in run.outcome ? <ErrorBox message={run.outcome.error} /> : null}
            {run.outcome && 'code' in run.outcome ? <Answer answer={run.outcome.answer} /> : null}
          </li>
        ))}
      </ol>
    </Card>
  )
}

function Answer({ answer }: { answer: unknown }) {
  if (answer === undefined || answer === null) return <span className={styles.soft}>Answered without a payload.</span>
  return <Json label="Answer" value={answer} />
}

function Outcome({ run }: { run: Run }) {
  if (!run.outcome) return <Badge tone="accent">Running</Badge>
  if ('error' in run.outcome) return <Badge tone="bad">Failed</Badge>
  const { code } = run.outcome
  return <Badge tone={code >= 200 && code < 300 ? 'good' : 'bad'}>Status {code}</Badge>
}

function Elapsed({ sinceMs }: { sinceMs: number }) {
  const [now, setNow] = useState(sinceMs)
  useEffect(() => {
    const timer = setInterval(() => {
      setNow(Date.now())
    }, 200)
    return () => {
      clearInterval(timer)
    }
  }, [])
  return <>{durationText(Math.max(0, now - sinceMs))}</>
}

export function durationText(ms: number): string {
  return ms < 1000 ? `${String(Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`
}
