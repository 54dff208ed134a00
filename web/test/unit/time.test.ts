import { describe, expect, it } from 'vitest'

import { ago } from '../../src/components/time'

const now = new Date('2026-05-01T12:00:00Z')
const before = (secs: number) => ago(new Date(now.getTime() - secs * 1000), now)

describe('ago', () => {
  it.each([
    [0, 'now'],
    [1, '1 second ago'],
    [59, '59 seconds ago'],
    [60, '1 minute ago'],
    [3_599, '59 minutes ago'],
    [3_600, '1 hour ago'],
    [86_400, 'yesterday'],
    [-30, 'in 30 seconds'],
  ])('%i s', (secs, words) => {
    expect(before(secs)).toBe(words)
  })
})
