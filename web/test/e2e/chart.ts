import { expect, type Page } from '@playwright/test'

/**
 * Waits until the chart of the machine's temperature has a newer value than now. By the time it was measured: two values in a
 * row may read the same.
 */
export async function newerValue(page: Page): Promise<void> {
  const chart = page.getByRole('figure', { name: 'Machine temperature over time' })
  await expect(chart.getByRole('status', { name: 'Machine temperature, latest value' })).toHaveText(/\d/)
  const measured = chart.getByRole('time')
  await expect(measured).not.toHaveAttribute('datetime', (await measured.getAttribute('datetime')) ?? '')
}
