import type { LiveState } from '../api/live'
import { Notice } from '../ui/States'

/** Said while a page cannot follow what happens. */
export function Interrupted({ live }: { live: LiveState }) {
  if (live !== 'waiting') return null
  return <Notice>Live updates are interrupted. This page catches up by itself once Tidegate answers again.</Notice>
}
