import type { PropertyState } from '../api/scope'
import { numberText } from '../series'
import type { Property } from '../template'
import { Badge, type Tone } from '../ui/Badge'
import styles from './PropertyStatus.module.css'
import { Ago } from './time'

const WORDS: Record<PropertyState['progress'], { word: string; tone: Tone }> = {
  unset: { word: 'Not set', tone: 'idle' },
  reported: { word: 'Reported', tone: 'idle' },
  pending: { word: 'Pending', tone: 'warn' },
  accepted: { word: 'Accepted', tone: 'good' },
  working: { word: 'In progress', tone: 'accent' },
  refused: { word: 'Refused', tone: 'bad' },
}

/** Where a writable property stands: what was asked for, what the device answered, what it reports. */
export function PropertyStatus({ property, state }: { property: Property; state: PropertyState }) {
  if (property.cloud) {
    return (
      <div className={styles.status}>
        <Badge>Cloud property</Badge>
      </div>
    )
  }
  const { word, tone } = WORDS[state.progress]
  return (
    <div className={styles.status} role="status" aria-label={`${property.label}, progress`}>
      <Badge tone={tone}>{word}</Badge>
      <dl className={styles.facts}>
        <div>
          <dt>Reported</dt>
          <dd><ReportedValue property={property} value={state.reported} /></dd>
        </div>
        {state.version === undefined ? null : (
          <div>
            <dt>Desired</dt>
            <dd><ReportedValue property={property} value={state.desired} /> (version {state.version})</dd>
          </div>
        )}
        {state.note ? (
          <div>
            <dt>Device says</dt>
            <dd>{state.note}</dd>
          </div>
        ) : null}
        {state.time ? (
          <div>
            <dt>Changed</dt>
            <dd><Ago time={state.time} /></dd>
          </div>
        ) : null}
      </dl>
    </div>
  )
}

export function ReportedValue({ property, value }: { property: Property; value: unknown }) {
  if (value === undefined || value === null) return <>–</>
  if (typeof value === 'number') return <>{numberText(value, property.unit)}</>
  if (typeof value === 'boolean') return <>{value ? 'On' : 'Off'}</>
  return <>{typeof value === 'string' ? value : JSON.stringify(value)}</>
}
