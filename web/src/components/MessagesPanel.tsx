import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'

import type { Schemas } from '../api/client'
import { useLive } from '../api/live'
import { MESSAGES_KEPT_MAX, messagesQuery } from '../api/queries'
import { paths } from '../paths'
import { Button } from '../ui/Button'
import { Card } from '../ui/Card'
import { SelectField } from '../ui/Field'
import { Empty, Loading } from '../ui/States'
import { LoadFailure } from './LoadFailure'
import { MessageRow } from './MessageRow'
import styles from './MessagesPanel.module.css'

/** A message that cannot be read as telemetry has no live event; it shows within this time. */
const REREAD_MS = 10_000
/** A device that sends quickly does not make the page read more often than this. */
const READ_APART_MS = 1_000

/** What a device sent, as it sent it, newest first. */
export function MessagesPanel({ deviceId, modules }: { deviceId: string; modules: string[] }) {
  const { module } = useSearch({ from: '/signed-in/devices/$deviceId' })
  const navigate = useNavigate({ from: paths.device })
  const [paused, setPaused] = useState(false)
  const messages = useQuery({ ...messagesQuery(deviceId, module), refetchInterval: paused ? false : REREAD_MS, refetchOnWindowFocus: !paused })
  useFollow(deviceId, paused)

  return (
    <Card
      title="Raw messages"
      hint={paused ? 'Paused: new messages are not shown.' : `Newest first, as they come; the last ${String(MESSAGES_KEPT_MAX)} are kept on this page.`}
      flush
      actions={
        <div className={styles.actions}>
          {modules.length > 0 ? (
            <SelectField
              label="Module"
              value={module ?? ''}
              options={[{ value: '', label: 'All' }, ...modules.map((id) => ({ value: id, label: id }))]}
              onChange={(value) => {
                void navigate({ search: (before) => ({ ...before, module: value || undefined }), replace: true, resetScroll: false })
              }}
            />
          ) : null}
          <Button
            aria-pressed={paused}
            onPress={() => {
              setPaused(!paused)
            }}
          >
            {paused ? 'Resume' : 'Pause'}
          </Button>
        </div>
      }
    >
      {messages.isPending ? <Loading lines={8} /> : null}
      {messages.isError ? <LoadFailure error={messages.error} /> : null}
      {messages.data ? <List messages={messages.data} /> : null}
    </Card>
  )
}

function List({ messages }: { messages: Schemas['RawMessage'][] }) {
  if (messages.length === 0) return <Empty title="No messages yet">The first message of this device appears here by itself.</Empty>
  return (
    <ol className={styles.list} aria-label="Messages">
      {messages.map((message) => (
        <MessageRow key={message.offset} message={message} />
      ))}
    </ol>
  )
}

/** Reads the newest messages again when one came, at most once in a while. */
function useFollow(deviceId: string, paused: boolean): void {
  const queryClient = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const reload = () => {
    if (paused) return
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      void queryClient.invalidateQueries({ queryKey: ['messages', deviceId] })
    }, READ_APART_MS)
  }
  useLive(deviceId, { telemetry: reload, resync: reload })
  useEffect(
    () => () => {
      clearTimeout(timer.current)
      timer.current = undefined
    },
    [paused],
  )
}
