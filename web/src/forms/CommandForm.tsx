import { useState } from 'react'

import { ApiError, problemWith, wordsOf } from '../api/errors'
import { runCommand, type Place } from '../api/scope'
import { type Run } from '../components/CommandRuns'
import { usePermission } from '../components/usePermission'
import type { Command } from '../template'
import { Button } from '../ui/Button'
import { Card } from '../ui/Card'
import { TextField } from '../ui/Field'
import { Form, FormActions } from '../ui/Form'
import styles from './CommandForm.module.css'
import { SchemaField } from './SchemaField'
import { draftOf, Problem, valueOf, type Draft } from './value'

const TIMEOUT_SECS_DEFAULT = '30'
/** What is shown of a command that waits for its device: accepted, and no answer. */
const QUEUED_CODE = 202
/** What the API takes as response timeout. */
const TIMEOUT_SECS = { min: 5, max: 30 }

interface Props {
  place: Place
  /** The module or component the command belongs to. */
  source: string
  command: Command
  onRun: (run: Run) => void
}

/** The form of one command: its request, how long to wait, and the button. */
export function CommandForm({ place, source, command, onRun }: Props) {
  const { request } = command
  const [draft, setDraft] = useState<Draft>(() => (request ? draftOf(request.schema, undefined) : ''))
  const [timeout, setTimeoutText] = useState(TIMEOUT_SECS_DEFAULT)
  const [problem, setProblem] = useState<string>()
  const [running, setRunning] = useState(false)
  const allowed = usePermission('devices.executeCommands')
  const timeoutSecs = Number(timeout)
  const timeoutProblem =
    Number.isInteger(timeoutSecs) && timeoutSecs >= TIMEOUT_SECS.min && timeoutSecs <= TIMEOUT_SECS.max
      ? undefined
      : `Between ${String(TIMEOUT_SECS.min)} and ${String(TIMEOUT_SECS.max)} seconds.`

  const submit = async () => {
    setProblem(undefined)
    let payload: unknown
    try {
      payload = request ? valueOf(request.schema, draft) : undefined
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      setProblem(error.message)
      return
    }
    const run: Run = { id: crypto.randomUUID(), command: command.label, source, startedMs: Date.now() }
    onRun(run)
    setRunning(true)
    try {
      const body = { responseTimeout: timeoutSecs, ...(payload === undefined ? {} : { request: payload }) }
      const answer = await runCommand(place, command.name, body)
      onRun({ ...run, outcome: { tookMs: Date.now() - run.startedMs, code: answer.responseCode ?? QUEUED_CODE, answer: answer.response } })
    } catch (error) {
      setProblem(problemWith(error, 'request'))
      onRun({ ...run, outcome: { tookMs: Date.now() - run.startedMs, error: whyFailed(error, timeoutSecs) } })
    } finally {
      setRunning(false)
    }
  }
  return (
    <Card title={command.label} hint={[command.description, source].filter((part) => part !== undefined).join(' · ')}>
      <Form
        label={`Run ${command.label}`}
        onSubmit={() => {
          if (allowed && !running && timeoutProblem === undefined) void submit()
        }}
      >
        <div className={styles.fields}>
          {request ? <SchemaField capability={request} draft={draft} onChange={setDraft} problem={problem} /> : null}
          <TextField label="Response timeout (s)" type="number" step="1" value={timeout} onChange={setTimeoutText} problem={timeoutProblem} />
        </div>
        <FormActions>
          <Button type="submit" look="primary" isDisabled={!allowed || running || timeoutProblem !== undefined}>
            {running ? 'Running…' : `Run ${command.label}`}
          </Button>
          {allowed ? null : <span className={styles.hint}>Your role does not allow commands.</span>}
        </FormActions>
      </Form>
    </Card>
  )
}

function whyFailed(error: unknown, timeoutSecs: number): string {
  if (error instanceof ApiError && error.status === 504) return `The device did not answer within ${String(timeoutSecs)} seconds.`
  return wordsOf(error)
}
