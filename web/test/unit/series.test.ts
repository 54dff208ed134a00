import { describe, expect, it } from 'vitest'

import { brokenAtGaps, joined, LIVE_POINTS_MAX, numberAt, storedPoints, windowOf, withPoint, type Point } from '../../src/series'

describe('storedPoints', () => {
  it('draws the average of a summed-up stretch, and keeps holes', () => {
    expect(storedPoints([[1, 5], [2, null], [3, [1, 9, 4]], [4, 'x']])).toEqual([[1, 5], [2, null], [3, 4], [4, null]])
  })
})

describe('joined', () => {
  it('adds only live points newer than the stored ones, inside the window', () => {
    expect(joined([[1, 1], [5, 5]], [[4, 4], [5, 9], [6, 6]], 2)).toEqual([[5, 5], [6, 6]])
    expect(joined([], [[4, 4]], 0)).toEqual([[4, 4]])
  })
})

describe('withPoint', () => {
  it('keeps the order of time, whatever comes late or twice', () => {
    const points: Point[] = [[10, 1], [30, 3]]
    expect(withPoint(points, [20, 2], 0)).toEqual([[10, 1], [20, 2], [30, 3]])
    expect(withPoint(points, [30, 4], 0)).toEqual([[10, 1], [30, 4]])
    expect(withPoint(points, [40, 4], 20)).toEqual([[30, 3], [40, 4]])
  })

  it('keeps no more than its limit', () => {
    const full = Array.from({ length: LIVE_POINTS_MAX }, (_, index): Point => [index, index])
    const next = withPoint(full, [LIVE_POINTS_MAX, 0], 0)
    expect(next).toHaveLength(LIVE_POINTS_MAX)
    expect(next[0]).toEqual([1, 1])
  })
})

describe('brokenAtGaps', () => {
  it('breaks the line at an outage and nowhere else', () => {
    const steady: Point[] = [[0, 1], [10_000, 2], [20_000, 3]]
    expect(brokenAtGaps(steady)).toEqual(steady)
    expect(brokenAtGaps([...steady, [90_000, 4]])).toEqual([...steady, [20_001, null], [90_000, 4]])
    expect(brokenAtGaps([])).toEqual([])
  })
})

describe('numberAt', () => {
  it.each([
    [{ machine: { temperature: 21 } }, ['machine', 'temperature'], 21],
    [{ machine: 5 }, ['machine', 'temperature'], undefined],
    [{ level: '5' }, ['level'], undefined],
    [undefined, ['level'], undefined],
  ])('looks into %j at %j', (values, path, found) => {
    expect(numberAt(values, path)).toBe(found)
  })
})

describe('windowOf', () => {
  it('takes the shortest for anything unknown', () => {
    expect(windowOf('2h').secs).toBe(7_200)
    expect(windowOf('a year').secs).toBe(300)
    expect(windowOf(undefined).secs).toBe(300)
  })
})
