import { useEffect, useRef, useState } from 'react'

import type { Schemas } from './client'

/** What the event stream tells, by event name. */
interface LiveEvents {
  telemetry: Schemas['LiveTelemetry']
  properties: Schemas['LiveProperties']
  connection: Schemas['LiveConnection']
  edge: Schemas['LiveEdge']
}

export type LiveHandlers = { [Name in keyof LiveEvents]?: (event: LiveEvents[Name]) => void } & {
  /** Events may have been missed: read again what the page shows. */
  resync?: () => void
}

export type LiveState = 'connecting' | 'live' | 'waiting'

const EVENTS = ['telemetry', 'properties', 'connection', 'edge'] as const satisfies (keyof LiveEvents)[]
/** A browser gives up on a stream that was answered with an error; then it is opened anew after this time. */
const REOPEN_AFTER_MS = 3_000
/** The server says something at least every 15 seconds. A stream silent for this long is dead, even if nobody closed it. */
const SILENT_MAX_MS = 40_000
/** A stream outlives its last follower this long, so that the next tab of a page finds it open. */
const LINGER_MS = 1_000

interface Follower {
  handlers: () => LiveHandlers
  onState: (state: LiveState) => void
}

/** One connection, shared by all parts of a page that follow the same device: a browser opens only a few to one server. */
class LiveStream {
  private readonly followers = new Set<Follower>()
  private state: LiveState = 'connecting'
  private source: EventSource | undefined
  private wasOpen = false
  private reopening: ReturnType<typeof setTimeout> | undefined
  private silence: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly address: string,
    private readonly onEmpty: () => void,
  ) {}

  follow(follower: Follower): () => void {
    this.followers.add(follower)
    if (!this.source) this.open()
    follower.onState(this.state)
    return () => {
      this.followers.delete(follower)
      setTimeout(() => {
        if (this.followers.size === 0) this.close()
      }, LINGER_MS)
    }
  }

  private open(): void {
    const source = new EventSource(this.address)
    this.source = source
    this.heard()
    source.onopen = () => {
      this.heard()
      this.enter('live')
      if (this.wasOpen) this.resync()
      this.wasOpen = true
    }
    source.onerror = () => {
      this.enter('waiting')
      if (source.readyState !== EventSource.CLOSED || this.source !== source) return
      this.reopening = setTimeout(() => {
        this.open()
      }, REOPEN_AFTER_MS)
    }
    source.addEventListener('ping', () => {
      this.heard()
    })
    source.addEventListener('lagged', () => {
      this.resync()
    })
    for (const name of EVENTS) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        this.heard()
        this.tell(name, JSON.parse(event.data))
      })
    }
  }

  /** Something came. When nothing does for long, the stream is opened anew. */
  private heard(): void {
    clearTimeout(this.silence)
    this.silence = setTimeout(() => {
      clearTimeout(this.reopening)
      this.source?.close()
      this.enter('waiting')
      this.open()
    }, SILENT_MAX_MS)
  }

  private tell(name: keyof LiveEvents, event: unknown): void {
    for (const follower of this.followers) {
      const handler = follower.handlers()[name] as ((event: unknown) => void) | undefined
      handler?.(event)
    }
  }

  private resync(): void {
    for (const follower of this.followers) follower.handlers().resync?.()
  }

  private enter(state: LiveState): void {
    this.state = state
    for (const follower of this.followers) follower.onState(state)
  }

  private close(): void {
    clearTimeout(this.reopening)
    clearTimeout(this.silence)
    this.source?.close()
    this.source = undefined
    this.onEmpty()
  }
}

const streams = new Map<string, LiveStream>()

function streamOf(deviceId: string | undefined): LiveStream {
  const address = deviceId === undefined ? '/api/ext/v1/live' : `/api/ext/v1/live?device=${encodeURIComponent(deviceId)}`
  const known = streams.get(address)
  if (known) return known
  const stream = new LiveStream(address, () => streams.delete(address))
  streams.set(address, stream)
  return stream
}

/**
 * Follows one device, or the connections of the whole fleet. A broken stream comes back by itself; after every return, and
 * when the server says that this page was too slow, `resync` is called.
 */
export function useLive(deviceId: string | undefined, handlers: LiveHandlers): LiveState {
  const latest = useRef(handlers)
  useEffect(() => {
    latest.current = handlers
  })
  const [state, setState] = useState<LiveState>('connecting')
  useEffect(() => streamOf(deviceId).follow({ handlers: () => latest.current, onState: setState }), [deviceId])
  return state
}
