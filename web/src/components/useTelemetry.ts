import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useRef, useState } from 'react'

import type { Schemas } from '../api/client'
import { useLive } from '../api/live'
import { seriesQuery } from '../api/queries'
import { brokenAtGaps, joined, numberAt, storedPoints, withPoint, type Point, type Window } from '../series'
import type { ChartSeries } from '../template'

/** Late messages come in groups; the stored points are read again at most this often. */
const REREAD_MS = 1_000

/**
 * The points of some series over the window that ends now: stored ones first, live ones as they come. After Central or the
 * edge was away, messages arrive late with the time at which they were measured: then the stored points are read again.
 */
export function useTelemetry(deviceId: string, series: ChartSeries[], window: Window) {
  const stored = useQuery({ ...seriesQuery(deviceId, series.map((item) => item.key), window.secs), placeholderData: keepPreviousData })
  const [live, setLive] = useState<ReadonlyMap<string, Point[]>>(new Map())
  const newest = useRef(0)
  const reread = useReread(deviceId)

  const take = (event: Schemas['LiveTelemetry']) => {
    if (event.ts < newest.current) reread()
    newest.current = Math.max(newest.current, event.ts)
    const fromMs = Date.now() - window.secs * 1000
    setLive((before) => {
      const next = new Map(before)
      for (const item of series) {
        if (item.module !== event.module || item.component !== event.component) continue
        const value = numberAt(event.values, item.path)
        if (value !== undefined) next.set(item.key, withPoint(next.get(item.key) ?? [], [event.ts, value], fromMs))
      }
      return next
    })
  }
  useLive(deviceId, { telemetry: take, resync: reread })

  const fromMs = stored.dataUpdatedAt - window.secs * 1000
  const lines = series.map((item) => {
    const found = stored.data?.series.find((one) => one.name === item.key)
    return { ...item, points: brokenAtGaps(joined(storedPoints(found?.points ?? []), live.get(item.key) ?? [], fromMs)) }
  })
  return { lines, isPending: stored.isPending, error: stored.error }
}

/** Reads the stored points again, soon, and once however often it is asked in the meantime. */
function useReread(deviceId: string): () => void {
  const queryClient = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(
    () => () => {
      clearTimeout(timer.current)
      timer.current = undefined
    },
    [],
  )
  return useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      void queryClient.invalidateQueries({ queryKey: ['series', deviceId] })
    }, REREAD_MS)
  }, [deviceId, queryClient])
}
