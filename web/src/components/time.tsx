import { useEffect, useState } from 'react'

const STEPS: [limit: number, seconds: number, unit: Intl.RelativeTimeFormatUnit][] = [
  [60, 1, 'second'],
  [3600, 60, 'minute'],
  [86_400, 3600, 'hour'],
  [Infinity, 86_400, 'day'],
]
const words = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

export function ago(time: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - time.getTime()) / 1000)
  const [, size, unit] = STEPS.find(([limit]) => Math.abs(seconds) < limit) ?? [0, 1, 'second' as const]
  return words.format(-Math.trunc(seconds / size), unit)
}

/** How long ago something was, kept true; the exact time on hover. A time before 1970 means never, one ahead of us now. */
export function Ago({ time }: { time: string | null | undefined }) {
  const [now, setNow] = useState(() => new Date())
  useEffect(() => {
    const timer = setInterval(() => {
      setNow(new Date())
    }, 5_000)
    return () => {
      clearInterval(timer)
    }
  }, [])
  const date = time ? new Date(time) : undefined
  if (!date || Number.isNaN(date.getTime()) || date.getTime() <= 0) return <span>never</span>
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {ago(date, date > now ? date : now)}
    </time>
  )
}
