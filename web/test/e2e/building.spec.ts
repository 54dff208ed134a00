import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { expect } from '@playwright/test'

import { test } from './demo'
import { takeScreenshots } from './screenshots'

const MANIFEST = join(import.meta.dirname, '../../../examples/manifests/simulated-temperature-sensor.json')

/** What a builder does: a template from a manifest, a device of it, the manifest on the device, and the end of the device. */
test('from a manifest to a device of its template, and away with it', async ({ page, demo }) => {
  await page.goto(demo.signInLink)
  const places = page.getByRole('navigation', { name: 'Places' })

  await test.step('imports a manifest, looks at the generated template and publishes it', async () => {
    await places.getByRole('link', { name: 'Templates' }).click()
    await page.getByRole('button', { name: 'Import a manifest' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Manifest (JSON)' }).fill('{ "modulesContent": ')
    await expect(dialog.getByRole('alert')).toContainText('JSON')
    await dialog.getByLabel('Choose a file').setInputFiles(MANIFEST)
    await expect(dialog.getByRole('textbox', { name: 'Name of the template' })).toHaveValue('Simulated temperature sensor')
    await takeScreenshots(page, 'template-import')
    await dialog.getByRole('button', { name: 'Generate' }).click()
    await expect(dialog.getByRole('table', { name: /^Properties of/ })).toContainText('SendInterval')
    await takeScreenshots(page, 'template-preview')
    await dialog.getByRole('button', { name: 'Publish' }).click()
    await expect(page.getByRole('heading', { name: 'Simulated temperature sensor', level: 1 })).toBeVisible()
  })

  await test.step('stores the manifest', async () => {
    await places.getByRole('link', { name: 'Manifests' }).click()
    await page.getByRole('button', { name: 'Upload a manifest' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Manifest (JSON)' }).fill(await readFile(MANIFEST, 'utf8'))
    await dialog.getByRole('textbox', { name: 'Name' }).fill('Hall 2')
    await dialog.getByRole('button', { name: 'Store' }).click()
    await expect(page.getByRole('region', { name: 'Hall 2', exact: true })).toBeVisible()
  })

  await test.step('creates an edge device of the template, and gets its keys', async () => {
    await places.getByRole('link', { name: 'Devices' }).click()
    await page.getByRole('button', { name: 'New device' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Id' }).fill('gate 2')
    await expect(dialog.getByRole('alert')).toContainText('Letters, digits')
    await dialog.getByRole('textbox', { name: 'Id' }).fill('gate-2')
    await dialog.getByRole('combobox', { name: 'Template' }).selectOption('Simulated temperature sensor')
    await expect(dialog.getByRole('checkbox')).toBeChecked()
    await takeScreenshots(page, 'device-create')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await page.getByRole('button', { name: 'Show primary key' }).click()
    await expect(page.getByRole('region', { name: 'Connection' })).toContainText('=')
  })

  await test.step('applies the manifest to it', async () => {
    await places.getByRole('link', { name: 'Manifests' }).click()
    await page.getByRole('link', { name: 'Hall 2' }).click()
    await page.getByRole('button', { name: 'Apply to a device' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('combobox', { name: 'Edge device' }).selectOption('gate-2 (gate-2)')
    await takeScreenshots(page, 'manifest-apply')
    await dialog.getByRole('button', { name: 'Apply' }).click()
    await expect(page.getByRole('table', { name: 'Modules' })).toContainText('SimulatedTemperatureSensor')
  })

  await test.step('is told why there is nothing to draw', async () => {
    await page.getByRole('navigation', { name: 'Parts of this device' }).getByRole('link', { name: 'Overview' }).click()
    await expect(page.getByRole('heading', { name: 'Nothing to draw yet' })).toBeVisible()
  })

  await test.step('blocks it, then deletes it', async () => {
    await page.getByRole('button', { name: 'Block' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Block' }).click()
    await expect(page.getByText('Blocked')).toBeVisible()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await expect(page.getByRole('heading', { name: 'Devices', level: 1 })).toBeVisible()
    await expect(page.getByText('gate-2')).toHaveCount(0)
  })
})
