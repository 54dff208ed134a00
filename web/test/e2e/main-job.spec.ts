import { expect, type Locator, type Page } from '@playwright/test'

import { newerValue } from './chart'
import { test } from './demo'
import { takeScreenshots } from './screenshots'

/** What a newcomer does, from the sign-in link to the answered command. One story: each step stands on the one before. */
test('from the sign-in link to a live chart, an accepted property and an answered command', async ({ page, demo }) => {
  await test.step('signs in by the link, which works without a further click', async () => {
    await page.goto(demo.signInLink)
    await expect(page.getByRole('heading', { name: 'Devices', level: 1 })).toBeVisible()
    expect(page.url()).not.toContain('code')
  })

  await test.step('sees the fleet, every device connected', async () => {
    const fleet = page.getByRole('table', { name: 'Devices' })
    for (const name of ['Demo edge demo-edge', 'Demo tank 1 demo-tank-1', 'Demo tank 2 demo-tank-2']) {
      await expect(fleet.getByRole('row', { name }).getByText('Connected', { exact: true })).toBeVisible()
    }
    await takeScreenshots(page, 'devices')
  })

  await test.step('opens the edge device and sees its module run', async () => {
    await page.getByRole('link', { name: 'Demo edge', exact: true }).click()
    const modules = page.getByRole('table', { name: 'Modules' })
    await expect(modules.getByRole('row').filter({ hasText: 'SimulatedTemperatureSensor' }).getByText('running')).toBeVisible()
  })

  await test.step('watches machine temperature move without a reload', async () => {
    await newerValue(page)
    await newerValue(page)
    await takeScreenshots(page, 'device-overview')
  })

  await test.step('sees the downstream devices behind the gateway', async () => {
    await expect(page.getByRole('table', { name: 'Downstream devices' }).getByRole('link')).toHaveText(['Demo tank 1', 'Demo tank 2'])
  })

  await test.step('sets SendInterval in the generated form: pending, then accepted by the device', async () => {
    await tab(page, 'Properties')
    const progress = page.getByRole('status', { name: 'SendInterval, progress' })
    const seen = wordsSeen(progress)
    await page.getByRole('spinbutton', { name: 'SendInterval' }).fill('3')
    await page.getByRole('button', { name: 'Save' }).click()
    await expect(progress).toContainText('Desired3')
    await expect(progress).toContainText('Accepted')
    await expect(progress).toContainText('Reported3')
    expect(await seen).toContain('Pending')
    await takeScreenshots(page, 'device-properties')
  })

  await test.step('runs reset from a form and sees its answer', async () => {
    await tab(page, 'Commands')
    await page.getByRole('button', { name: 'Run Reset' }).click()
    await expect(page.getByRole('listitem', { name: 'Run of Reset' })).toContainText('Status 200')
    await takeScreenshots(page, 'device-commands')
  })

  await test.step('reads the raw messages as they come', async () => {
    await tab(page, 'Raw data')
    const newest = page.getByRole('list', { name: 'Messages' }).getByRole('listitem').filter({ hasText: '"machine"' }).first()
    await moved(newest)
    await page.getByRole('button', { name: 'Pause' }).click()
    await newest.getByText('SimulatedTemperatureSensor').click()
    await expect(newest.getByRole('region', { name: 'Message body' })).toContainText('"machine"')
    await expect(newest.getByRole('region', { name: 'Properties' })).toContainText('sequenceNumber')
    await takeScreenshots(page, 'device-messages')
  })

  await test.step('sees modules and connection of the device', async () => {
    await tab(page, 'Modules')
    await expect(page.getByRole('table', { name: 'Modules' })).toContainText('edgeHub')
    await takeScreenshots(page, 'device-modules')
    await tab(page, 'Connection')
    await expect(page.getByRole('region', { name: 'Connection' })).toContainText('demo-edge')
    await takeScreenshots(page, 'device-connection')
  })

  await test.step('reads template, manifests and what a device needs to connect', async () => {
    const places = page.getByRole('navigation', { name: 'Places' })
    await places.getByRole('link', { name: 'Templates' }).click()
    await takeScreenshots(page, 'templates')
    await page.getByRole('link', { name: 'Demo edge' }).click()
    await expect(page.getByRole('table', { name: /^Properties of/ })).toContainText('SendInterval')
    await takeScreenshots(page, 'template')
    await places.getByRole('link', { name: 'Manifests' }).click()
    await page.getByRole('link', { name: 'Simulated temperature sensor' }).click()
    await expect(page.getByRole('region', { name: 'Manifest', exact: true })).toContainText('modulesContent')
    await takeScreenshots(page, 'manifests')
    await places.getByRole('link', { name: 'Connect' }).click()
    await expect(page.getByRole('region', { name: 'Python program' })).toContainText('azure.iot.device')
    await takeScreenshots(page, 'connect')
  })

  await test.step('sees that the installation is well: every reader follows the log', async () => {
    await page.getByRole('navigation', { name: 'Places' }).getByRole('link', { name: 'Health' }).click()
    await expect(page.getByRole('heading', { name: 'Health', level: 1 }).locator('..')).toContainText('Ready')
    const readers = page.getByRole('table', { name: 'Readers of the log' })
    for (const name of ['telemetry', 'last_seen']) await expect(readers.getByRole('row', { name }).getByText('Following')).toBeVisible()
    const newest = page.getByRole('region', { name: 'Log', exact: true })
    await moved(newest)
    await takeScreenshots(page, 'health')
  })
})

async function tab(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Parts of this device' }).getByRole('link', { name }).click()
}

/** Waits until a text is another one than now. */
async function moved(place: Locator): Promise<void> {
  await expect(place).not.toHaveText(await place.innerText())
}

/** The states a badge goes through from now until it is accepted; a short one is not missed. */
async function wordsSeen(progress: Locator): Promise<string[]> {
  return progress.evaluate(
    (element) =>
      new Promise<string[]>((resolve) => {
        const words = new Set<string>()
        const look = () => {
          const word = /Pending|Accepted|Refused|In progress/.exec(element.textContent)?.[0]
          if (word === 'Accepted' && words.has('Pending')) resolve([...words])
          else if (word !== undefined) words.add(word)
        }
        new MutationObserver(look).observe(element, { subtree: true, childList: true, characterData: true })
      }),
  )
}
