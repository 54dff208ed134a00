import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'

import type { Schemas } from '../api/client'
import { useLive } from '../api/live'
import { fleetQuery, templatesQuery } from '../api/queries'
import { DeviceStatusBadge } from '../components/deviceStatus'
import { Interrupted } from '../components/Interrupted'
import { LoadFailure } from '../components/LoadFailure'
import { Ago } from '../components/time'
import { usePermission } from '../components/usePermission'
import { DeviceCreate } from '../forms/DeviceCreate'
import { paths } from '../paths'
import { textOf } from '../template'
import { Button } from '../ui/Button'
import { Card } from '../ui/Card'
import { SelectField, TextField } from '../ui/Field'
import { Page } from '../ui/Page'
import { Empty, Loading, Notice } from '../ui/States'
import { Table, type Column } from '../ui/Table'
import styles from './DevicesPage.module.css'

type FleetDevice = Schemas['FleetDevice']

const COLUMNS: Column<FleetDevice>[] = [
  {
    heading: 'Device',
    cell: (device) => (
      <>
        <Link to={paths.device} params={{ deviceId: device.id }} className={styles.name ?? ''}>
          {device.displayName}
        </Link>
        <div className={styles.id}>{device.id}</div>
      </>
    ),
  },
  { heading: 'Status', cell: (device) => <DeviceStatusBadge status={device.status} /> },
  { heading: 'Template', cell: (device) => device.templateDisplayName ?? <em>Unassigned</em> },
  { heading: 'Kind', cell: (device) => (device.type === 'iotEdge' ? 'Edge' : 'Device') },
  {
    heading: 'Gateway',
    cell: (device) =>
      device.gateway ? (
        <Link to={paths.device} params={{ deviceId: device.gateway }}>
          {device.gateway}
        </Link>
      ) : (
        '–'
      ),
  },
  { heading: 'Last seen', cell: (device) => (device.status === 'connected' ? 'now' : <Ago time={device.lastSeen} />) },
]

/** The fleet with its live status. */
export function DevicesPage() {
  const search = useSearch({ from: '/signed-in/devices' })
  const navigate = useNavigate()
  const queryClient = useQueryClient()
  const fleet = useQuery({ ...fleetQuery(search), placeholderData: keepPreviousData })
  const reload = () => void queryClient.invalidateQueries({ queryKey: ['fleet'] })
  const live = useLive(undefined, { connection: reload, resync: reload })

  const narrow = (change: { search?: string; template?: string }) => {
    const next = { ...search, ...change }
    const kept = Object.fromEntries(Object.entries(next).filter(([, value]) => value))
    void navigate({ to: paths.devices, search: kept, replace: true })
  }
  return (
    <Page title="Devices" hint="Everything that has an identity here, with its status as it changes." actions={<NewDevice />}>
      <Interrupted live={live} />
      {fleet.data ? <Counts counts={fleet.data.counts} /> : null}
      <Filters search={search} narrow={narrow} />
      <Card title="Fleet" flush>
        {fleet.isPending ? <Loading lines={6} /> : null}
        {fleet.isError ? <LoadFailure error={fleet.error} /> : null}
        {fleet.data ? <Fleet devices={fleet.data.value} filtered={Boolean(search.search ?? search.template)} /> : null}
        {fleet.data?.nextLink ? <Notice>These are the first {fleet.data.value.length} devices; search to find the others.</Notice> : null}
      </Card>
    </Page>
  )
}

function NewDevice() {
  const [open, setOpen] = useState(false)
  if (!usePermission('devices.create')) return null
  return (
    <>
      <Button look="primary" onPress={() => { setOpen(true) }}>New device</Button>
      {open ? <DeviceCreate onClose={() => { setOpen(false) }} /> : null}
    </>
  )
}

function Counts({ counts }: { counts: Schemas['FleetCounts'] }) {
  const shown: [string, number][] = [
    ['devices', counts.total],
    ['connected', counts.connected],
    ['disconnected', counts.disconnected],
    ['never connected', counts.never],
    ['blocked', counts.blocked],
  ]
  return (
    <div className={styles.counts}>
      {shown.map(([label, count]) => (
        <div key={label} className={styles.count}>
          <b>{count.toLocaleString()}</b>
          <span>{label}</span>
        </div>
      ))}
    </div>
  )
}

interface FiltersProps {
  search: { search?: string | undefined; template?: string | undefined }
  narrow: (change: { search?: string; template?: string }) => void
}

function Filters({ search, narrow }: FiltersProps) {
  const templates = useQuery(templatesQuery)
  const options = (templates.data?.value ?? []).map((template) => ({
    value: template['@id'] ?? '',
    label: textOf(template.displayName) ?? template['@id'] ?? '',
  }))
  return (
    <div className={styles.filters}>
      <TextField label="Search" value={search.search ?? ''} placeholder="Name or id" onChange={(text) => { narrow({ search: text }) }} />
      <SelectField
        label="Template"
        value={search.template ?? ''}
        options={[{ value: '', label: 'All templates' }, ...options]}
        onChange={(template) => { narrow({ template }) }}
      />
    </div>
  )
}

function Fleet({ devices, filtered }: { devices: FleetDevice[]; filtered: boolean }) {
  if (devices.length > 0) return <Table label="Devices" columns={COLUMNS} rows={devices} rowKey={(device) => device.id} />
  if (filtered) return <Empty title="No device matches">Change the search or choose another template.</Empty>
  return (
    <Empty title="No devices yet">
      A device appears here when it first provisions itself. <Link to={paths.connect}>Connect</Link> shows what it needs.
    </Empty>
  )
}
