import type { Schemas } from '../api/client'
import { Badge, type Tone } from '../ui/Badge'

const WORDS: Record<Schemas['DeviceStatus'], { word: string; tone: Tone }> = {
  connected: { word: 'Connected', tone: 'good' },
  disconnected: { word: 'Disconnected', tone: 'warn' },
  never: { word: 'Never connected', tone: 'idle' },
  blocked: { word: 'Blocked', tone: 'bad' },
  waiting: { word: 'Waiting for approval', tone: 'accent' },
}

/** Where a device stands, in the words of the whole console. */
export function DeviceStatusBadge({ status }: { status: Schemas['DeviceStatus'] }) {
  const { word, tone } = WORDS[status]
  return <Badge tone={tone}>{word}</Badge>
}
