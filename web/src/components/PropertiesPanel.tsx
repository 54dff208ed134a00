import { useQuery, useQueryClient } from '@tanstack/react-query'

import { useLive } from '../api/live'
import { propertiesQuery, stateOf, type Place } from '../api/scope'
import { PropertiesForm } from '../forms/PropertiesForm'
import type { Property, Scope } from '../template'
import { Badge } from '../ui/Badge'
import { Card } from '../ui/Card'
import { Empty, Loading } from '../ui/States'
import { Table } from '../ui/Table'
import { LoadFailure } from './LoadFailure'
import { ReportedValue } from './PropertyStatus'
import { Ago } from './time'

/** While a device has not answered, its answer is also looked for this often: an event may be lost, an answer must not be. */
const PENDING_REREAD_MS = 5_000

/** What a device is set to and what it says of itself, place by place. */
export function PropertiesPanel({ deviceId, scopes }: { deviceId: string; scopes: Scope[] }) {
  const queryClient = useQueryClient()
  const reload = () => void queryClient.invalidateQueries({ queryKey: ['properties', deviceId] })
  useLive(deviceId, { properties: reload, resync: reload })
  const shown = scopes.filter((scope) => scope.properties.length > 0)
  if (shown.length === 0) {
    return (
      <Card title="Properties">
        <Empty title="No properties">The template of this device describes none. A template that does gets its form here.</Empty>
      </Card>
    )
  }
  return shown.map((scope) => <ScopeCard key={`${scope.module ?? ''}/${scope.component ?? ''}`} deviceId={deviceId} scope={scope} />)
}

function ScopeCard({ deviceId, scope }: { deviceId: string; scope: Scope }) {
  const place: Place = { deviceId, module: scope.module, component: scope.component }
  const writable = scope.properties.filter((property) => property.writable || property.cloud)
  const reported = scope.properties.filter((property) => !property.writable && !property.cloud)
  const properties = useQuery({
    ...propertiesQuery(place),
    refetchInterval: (query) => {
      const waiting = writable.some((property) => query.state.data && stateOf(query.state.data, property.name).progress === 'pending')
      return waiting ? PENDING_REREAD_MS : false
    },
  })
  return (
    <Card title={scope.label} hint={scope.module ? <>Module twin of <code>{scope.module}</code></> : 'Device twin'} flush>
      {properties.isPending ? <Loading lines={writable.length + reported.length} /> : null}
      {properties.isError ? <LoadFailure error={properties.error} /> : null}
      {properties.data && writable.length > 0 ? <PropertiesForm place={place} label={scope.label} properties={writable} values={properties.data} /> : null}
      {properties.data && reported.length > 0 ? <Reported properties={reported} values={properties.data} /> : null}
    </Card>
  )
}

function Reported({ properties, values }: { properties: Property[]; values: Record<string, unknown> }) {
  return (
    <Table
      label="Reported properties"
      rows={properties}
      rowKey={(property) => property.name}
      columns={[
        { heading: 'Reported property', cell: (property) => <strong title={property.description}>{property.label}</strong> },
        { heading: 'Value', cell: (property) => <ReportedValue property={property} value={values[property.name]} /> },
        { heading: 'Reported', cell: (property) => <Ago time={stateOf(values, property.name).time} /> },
        { heading: 'Kind', cell: () => <Badge>Read-only</Badge> },
      ]}
    />
  )
}
