import type { Page } from '@playwright/test'

const FOLDER = 'test-results/screens'
const SIZES = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
]

/** The page as it is, on a desk and on a phone, light and dark. */
export async function takeScreenshots(page: Page, name: string): Promise<void> {
  for (const size of SIZES) {
    await page.setViewportSize(size)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: `${FOLDER}/${name}-${String(size.width)}-${colorScheme}.png`, fullPage: true, animations: 'disabled' })
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 })
  await page.emulateMedia({ colorScheme: null })
}
