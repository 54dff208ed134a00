import { expect, type Page } from '@playwright/test'

import type { Schemas } from '../../src/api/client'
import { newerValue } from './chart'
import { test } from './demo'

const CHART_MS = 300_000
const SENSOR_MESSAGES = '/api/ext/v1/devices/demo-edge/messages?limit=100&module=SimulatedTemperatureSensor'
const NOTICE = 'Live updates are interrupted.'

/** Both processes are killed while the page is open. It is never loaded again: everything has to come back by itself. */
test('the page and its chart survive the death of Central and of the edge', async ({ page, demo }) => {
  await page.goto(demo.signInLink)
  await page.getByRole('link', { name: 'Demo edge', exact: true }).click()
  await sendEverySecond(page)
  await newerValue(page)
  await page.evaluate(() => document.body.setAttribute('data-same-page', ''))

  await test.step('Central is killed: the page says so, recovers, and the chart has what was measured meanwhile', async () => {
    const fromMs = Date.now()
    demo.kill('tidegate serve')
    await expect(page.getByText(NOTICE)).toBeVisible()
    await expect(page.getByText(NOTICE)).toBeHidden()
    await newerValue(page)
    await expectPointBetween(page, fromMs, fromMs + 1_000)
  })

  await test.step('the edge is killed: the device is shown as gone, then as back, and the chart goes on', async () => {
    const status = page.getByRole('heading', { name: 'Demo edge', level: 1 }).locator('..')
    demo.kill('tidegate-edge run')
    await expect(status).toContainText('Disconnected')
    await expect(status).toContainText('Connected')
    await newerValue(page)
    await newerValue(page)
  })

  await test.step('nothing that was acknowledged is missing, and the page was never loaded again', async () => {
    await expect(page.locator('body[data-same-page]')).toBeVisible()
    const runs = await numbersByRun(page, new URL(SENSOR_MESSAGES, demo.signInLink))
    expect(runs.size).toBe(2)
    // What the killed edge had delivered a moment before comes once more: at least once is what is promised.
    for (const delivered of runs.values()) {
      const numbers = [...new Set(delivered)]
      expect(numbers).toEqual(numbers.map((_, index) => index + 1))
    }
  })
})

async function sendEverySecond(page: Page): Promise<void> {
  const parts = page.getByRole('navigation', { name: 'Parts of this device' })
  await parts.getByRole('link', { name: 'Properties' }).click()
  await page.getByRole('spinbutton', { name: 'SendInterval' }).fill('1')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('status', { name: 'SendInterval, progress' })).toContainText('Accepted')
  await parts.getByRole('link', { name: 'Overview' }).click()
}

/** What the module numbered, in the order of arrival, for each run of it. */
async function numbersByRun(page: Page, address: URL): Promise<Map<string, number[]>> {
  const answer = await page.request.get(address.href)
  const { value } = (await answer.json()) as { value: Schemas['RawMessage'][] }
  const runs = new Map<string, number[]>()
  for (const { properties } of value.toReversed()) {
    // Twin changes are messages too, without a number.
    const run = properties['batchId']
    if (typeof run !== 'string') continue
    runs.set(run, [...(runs.get(run) ?? []), Number(properties['sequenceNumber'])])
  }
  return runs
}

/** Points at the chart where a time is drawn, as a person would, until it tells of a value measured in that time. */
async function expectPointBetween(page: Page, fromMs: number, toMs: number): Promise<void> {
  const chart = page.getByRole('figure', { name: 'Machine temperature over time' })
  const seconds = Array.from({ length: (toMs - fromMs) / 1_000 + 2 }, (_, index) => fromMs + index * 1_000)
  const times = await page.evaluate((all) => all.map((ms) => new Date(ms).toLocaleTimeString()), seconds)
  const pointed = async () => {
    const box = await chart.locator('.u-over').boundingBox()
    if (!box) return undefined
    const ago = Date.now() - (fromMs + toMs) / 2
    await page.mouse.move(box.x + box.width * (1 - ago / CHART_MS), box.y + box.height / 2)
    const text = await chart.locator('figcaption').innerText()
    return times.find((time) => text.includes(`at ${time}`))
  }
  await expect.poll(pointed).toBeDefined()
  // Away from the chart, which then tells of its newest value again.
  await page.mouse.move(0, 0)
}
