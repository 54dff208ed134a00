import { expect, type Page } from '@playwright/test'

import type { Schemas } from '../../src/api/client'
import { test } from './demo'

const FLEET = '**/api/ext/v1/devices?*'
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

async function answer(page: Page, address: string, status: number, body: Schemas['FleetPage'] | Schemas['Error']): Promise<void> {
  await page.unroute(address)
  await page.route(address, (route) => route.fulfill({ status, json: body }))
}
