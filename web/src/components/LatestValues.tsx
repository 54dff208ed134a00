import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'

import type { Schemas } from '../api/client'
import { useLive } from '../api/live'
import { latestQuery, type Telemetry } from '../api/scope'
import { numberText } from '../series'
import type { Capability, Scope } from '../template'
import { Card } from '../ui/Card'
import { Empty, Loading } from '../ui/States'
import { Table } from '../ui/Table'
import { LoadFailure } from './LoadFailure'
import { Ago } from './time'

/** The latest value of every telemetry: stored ones first, then as they come. */
export function LatestValues({ deviceId, scopes }: { deviceId: string; scopes: Scope[] }) {
  const rows = scopes.flatMap((scope) => scope.telemetry.map((capability): Telemetry => ({ ...placeOf(scope, deviceId), capability })))
  const stored = useQuery(latestQuery(deviceId, rows))
  const [live, setLive] = useState<ReadonlyMap<string, Schemas['LiveTelemetry']>>(new Map())
  useLive(deviceId, {
    telemetry: (event) => {
      setLive((before) => {
        const next = new Map(before)
        for (const name of Object.keys(event.values)) {
          const key = keyOf(event, name)
          if (event.ts >= (next.get(key)?.ts ?? 0)) next.set(key, event)
        }
        return next
      })
    },
    resync: () => void stored.refetch(),
  })

  const latest = (row: Telemetry): { value: unknown; time: string | undefined } => {
    const event = live.get(keyOf(row, row.capability.name))
    const known = stored.data?.get(keyOf(row, row.capability.name))
    // A device's clock may be ahead; what was stored is no newer than the moment it was read.
    const storedMs = known?.timestamp ? Math.min(Date.parse(known.timestamp), stored.dataUpdatedAt) : 0
    if (event && event.ts >= storedMs) return { value: event.values[row.capability.name], time: new Date(event.ts).toISOString() }
    return { value: known?.value, time: known?.timestamp }
  }
  return (
    <Card title="Latest values" flush>
      {stored.isPending ? <Loading lines={rows.length} /> : null}
      {stored.isError ? <LoadFailure error={stored.error} /> : null}
      {stored.isSuccess && rows.every((row) => latest(row).value === undefined) ? (
        <Empty title="No telemetry yet">Values appear here as soon as the device sends its first message.</Empty>
      ) : null}
      {stored.isSuccess && rows.some((row) => latest(row).value !== undefined) ? (
        <Table
          label="Latest values"
          rows={rows}
          rowKey={(row) => keyOf(row, row.capability.name)}
          columns={[
            { heading: 'Telemetry', cell: (row) => <strong>{row.capability.label}</strong> },
            { heading: 'From', cell: (row) => [row.module, row.component].filter(Boolean).join(' · ') || 'Device' },
            { heading: 'Value', cell: (row) => valueText(row.capability, latest(row).value) },
            { heading: 'Measured', cell: (row) => <Ago time={latest(row).time} /> },
          ]}
        />
      ) : null}
    </Card>
  )
}

function placeOf(scope: Scope, deviceId: string) {
  return { deviceId, module: scope.module, component: scope.component }
}

function keyOf(place: { module?: string | undefined; component?: string | undefined }, name: string): string {
  return [place.module ?? '', place.component ?? '', name].join('/')
}

/** A value for a person: numbers with their unit, an object field by field. */
function valueText(capability: Capability, value: unknown): string {
  if (value === undefined || value === null) return '–'
  if (typeof value === 'number') return numberText(value, capability.unit)
  if (typeof value === 'string') return capability.schema.kind === 'dateTime' ? new Date(value).toLocaleString() : value
  const fields = capability.schema.fields
  if (!fields || typeof value !== 'object') return JSON.stringify(value)
  return fields.map((field) => `${field.label} ${valueText(field, (value as Record<string, unknown>)[field.name])}`).join(' · ')
}
