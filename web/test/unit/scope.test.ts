import { describe, expect, it } from 'vitest'

import { stateOf, type PropertyState } from '../../src/api/scope'

describe('stateOf', () => {
  it.each<[string, Record<string, unknown>, PropertyState['progress']]>([
    ['nothing known', {}, 'unset'],
    ['reported without being asked', { speed: 5 }, 'reported'],
    ['asked, no answer', { $metadata: { speed: { desiredValue: 5, desiredVersion: 2 } } }, 'pending'],
    ['an answer to an older version', { $metadata: { speed: { desiredVersion: 2, ackVersion: 1, ackCode: 200 } } }, 'pending'],
    ['accepted', { $metadata: { speed: { desiredVersion: 2, ackVersion: 2, ackCode: 200 } } }, 'accepted'],
    ['still at it', { $metadata: { speed: { desiredVersion: 2, ackVersion: 2, ackCode: 202 } } }, 'working'],
    ['refused', { $metadata: { speed: { desiredVersion: 2, ackVersion: 2, ackCode: 400 } } }, 'refused'],
  ])('%s', (_, properties, progress) => {
    expect(stateOf(properties, 'speed').progress).toBe(progress)
  })

  it('keeps what was asked for beside what is reported, with the note of the device', () => {
    const metadata = { desiredValue: 7, desiredVersion: 3, ackVersion: 3, ackCode: 400, ackDescription: 'too fast', lastUpdateTime: '2026-05-01T10:00:00Z' }
    expect(stateOf({ speed: 5, $metadata: { speed: metadata } }, 'speed')).toEqual({
      reported: 5, desired: 7, progress: 'refused', note: 'too fast', version: 3, time: '2026-05-01T10:00:00Z',
    })
  })
})
