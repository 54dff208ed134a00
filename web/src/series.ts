/** Values over time, as the chart draws them: what was stored, and what came in since. Pure. */

/** Milliseconds since 1970 and value; a null breaks the line. */
export type Point = [timeMs: number, value: number | null]

export interface Window {
  id: string
  label: string
  secs: number
}

export const WINDOWS = [
  { id: '5m', label: '5 min', secs: 300 },
  { id: '30m', label: '30 min', secs: 1_800 },
  { id: '2h', label: '2 h', secs: 7_200 },
  { id: '24h', label: '24 h', secs: 86_400 },
] as const satisfies Window[]

export function windowOf(id: string | undefined): Window {
  return WINDOWS.find((window) => window.id === id) ?? WINDOWS[0]
}

/** Live points a line keeps at the most; a device that sends faster than this for a whole window is thinned at the next reading. */
export const LIVE_POINTS_MAX = 5_000

/** Stored points. Where the server summed up a stretch of time as `[min, max, average]`, the average is drawn. */
export function storedPoints(points: readonly (readonly unknown[])[]): Point[] {
  return points.flatMap(([time, value]): Point[] => {
    if (typeof time !== 'number') return []
    const shown: unknown = Array.isArray(value) ? value[2] : value
    return [[time, typeof shown === 'number' ? shown : null]]
  })
}

/** The number at a path inside the values of a message. */
export function numberAt(values: unknown, path: readonly string[]): number | undefined {
  let here: unknown = values
  for (const name of path) {
    if (typeof here !== 'object' || here === null) return undefined
    here = (here as Record<string, unknown>)[name]
  }
  return typeof here === 'number' ? here : undefined
}

/** Stored points followed by the live ones that are newer than all of them, from `fromMs` on. */
export function joined(stored: readonly Point[], live: readonly Point[], fromMs: number): Point[] {
  const newest = stored.at(-1)?.[0] ?? -Infinity
  return [...stored, ...live.filter(([time]) => time > newest)].filter(([time]) => time >= fromMs)
}

/** Adds a live point in the order of time, a later value for the same time replacing the earlier one. */
export function withPoint(points: readonly Point[], point: Point, fromMs: number): Point[] {
  const [time] = point
  const at = points.findLastIndex(([other]) => other < time) + 1
  const next = points[at]?.[0] === time ? points.with(at, point) : points.toSpliced(at, 0, point)
  return next.filter(([other]) => other >= fromMs).slice(-LIVE_POINTS_MAX)
}

/** A hole of this many usual distances between points is a hole in the line too. */
const GAP_FACTOR = 4
const GAP_MS_MIN = 15_000

/** Breaks the line where nothing was measured for a while, so that an outage does not look like a slope. */
export function brokenAtGaps(points: readonly Point[]): Point[] {
  const steps = points.slice(1).map(([time], index) => time - (points[index]?.[0] ?? time))
  const usual = steps.toSorted((one, other) => one - other)[Math.floor(steps.length / 2)] ?? 0
  const gap = Math.max(usual * GAP_FACTOR, GAP_MS_MIN)
  return points.flatMap((point, index): Point[] => {
    const before = points[index - 1]?.[0]
    return before !== undefined && point[0] - before > gap ? [[before + 1, null], point] : [point]
  })
}

export function lastOf(points: readonly Point[]): { time: number; value: number } | undefined {
  const last = points.findLast((point): point is [number, number] => point[1] !== null)
  return last ? { time: last[0], value: last[1] } : undefined
}

export function numberText(value: number, unit?: string): string {
  const digits = Math.abs(value) >= 1000 ? 1 : 2
  return `${value.toLocaleString(undefined, { maximumFractionDigits: digits })}${unit ? ` ${unit}` : ''}`
}
