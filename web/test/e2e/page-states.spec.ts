import { expect, type Page } from '@playwright/test'

import type { Schemas } from '../../src/api/client'
import { test } from './demo'
import { takeScreenshots } from './screenshots'

const FLEET = '**/api/ext/v1/devices?*'
const HEALTH = '**/api/ext/v1/health'
const GIB = 1_024 ** 3
const UNWELL: Schemas['InstallationHealth'] = {
  version: '0.1.0',
  ready: false,
  problems: [{ condition: 'reader telemetry', message: 'it ended and is started again: disk quota exceeded (os error 122)' }],
  readers: [
    {
      name: 'telemetry',
      about: 'Takes messages apart for charts, queries and raw data, and stores their values.',
      state: 'stopped',
      problem: 'it ended and is started again: a telemetry segment cannot be written: /var/lib/tidegate/telemetry/0b7c1d5e/00000000000812345678.parquet: disk quota exceeded (os error 122)',
      lag: 1_204_331,
      uncommitted: 1_331_820,
      logWaits: true,
      lastMoved: '2026-11-27T06:00:00Z',
      unreadSince: '2026-11-27T06:00:00Z',
    },
    {
      name: 'last_seen',
      about: 'Stores when each device and module was last heard of.',
      state: 'behind',
      lag: 12_045,
      uncommitted: 20_410,
      logWaits: true,
      lastMoved: '2026-11-27T06:00:05Z',
      unreadSince: '2026-11-27T06:00:01Z',
    },
  ],
  log: { bytes: 8.1 * GIB, bytesMax: 10 * GIB, firstOffset: 7_480_525, nextOffset: 8_812_345 },
  disk: { freeBytes: 0.6 * GIB, totalBytes: 64 * GIB, room: 'low' },
}
const NOBODY: Schemas['FleetPage'] = { value: [], counts: { total: 0, connected: 0, disconnected: 0, never: 0, blocked: 0 } }

/** What a page shows when the server has nothing, refuses, or is not there. The answers are typed by the contract. */
test('every answer of the server has its words', async ({ page, demo }) => {
  await page.goto(demo.signInLink)
  await expect(page.getByRole('table', { name: 'Devices' })).toBeVisible()

  await test.step('nothing there: says what to do next', async () => {
    await answer(page, FLEET, 200, NOBODY)
    await page.reload()
    await expect(page.getByRole('heading', { name: 'No devices yet' })).toBeVisible()
    await expect(page.getByRole('region', { name: 'Fleet' }).getByRole('link', { name: 'Connect' })).toBeVisible()
  })

  await test.step('refused: says why, and names the request', async () => {
    const refusal: Schemas['Error'] = { error: { code: 'Forbidden', message: 'Your role does not allow this.', requestId: 'abc-1' } }
    await answer(page, FLEET, 403, refusal)
    await page.reload()
    await expect(page.getByRole('alert')).toContainText('Your role does not allow this.')
    await expect(page.getByRole('alert')).toContainText('abc-1')
  })

  await test.step('a reader that stopped: says why, and what to do', async () => {
    const stopped = page.getByRole('table', { name: 'Readers of the log' }).getByRole('row', { name: 'telemetry' })
    await answer(page, HEALTH, 200, UNWELL)
    await page.getByRole('link', { name: 'Health' }).click()
    await expect(stopped).toContainText('Stopped')
    await expect(page.getByRole('alert')).toContainText('disk quota exceeded')
    await expect(page.getByRole('alert')).toContainText('tidegate doctor')
    await takeScreenshots(page, 'health-stopped')
    await answer(page, HEALTH, 403, { error: { code: 'Unauthorized', message: 'The permission installation.view is missing.' } })
    await expect(page.getByRole('heading', { name: 'This is for those who run the installation' })).toBeVisible()
    await takeScreenshots(page, 'health-refused')
  })

  await test.step('an address that leads nowhere', async () => {
    await page.goto(new URL('/devices/no-such-device', demo.signInLink).href)
    await expect(page.getByRole('heading', { name: /There is no device/ })).toBeVisible()
    await page.goto(new URL('/nowhere', demo.signInLink).href)
    await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible()
  })

  await test.step('signed out: back to the sign-in page, and the used link says that it is used', async () => {
    await page.goto(new URL('/templates', demo.signInLink).href)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await expect(page.getByText('You sign in with a one-time link.')).toBeVisible()
    await page.goto('about:blank')
    await page.goto(demo.signInLink)
    await expect(page.getByRole('alert')).toContainText('A sign-in link works once')
  })
})

async function answer(page: Page, address: string, status: number, body: Schemas['FleetPage'] | Schemas['InstallationHealth'] | Schemas['Error']): Promise<void> {
  await page.unroute(address)
  await page.route(address, (route) => route.fulfill({ status, json: body }))
}
