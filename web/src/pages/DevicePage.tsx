import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams, useSearch } from '@tanstack/react-router'

import type { Schemas } from '../api/client'
import { ApiError } from '../api/errors'
import { useLive, type LiveState } from '../api/live'
import { deviceQuery, templateQuery } from '../api/queries'
import { CommandsPanel } from '../components/CommandsPanel'
import { ConnectionPanel } from '../components/ConnectionPanel'
import { DeviceActions } from '../components/DeviceActions'
import { DeviceStatusBadge } from '../components/deviceStatus'
import { EdgePanel } from '../components/EdgePanel'
import { GatewayPanel } from '../components/GatewayPanel'
import { Interrupted } from '../components/Interrupted'
import { LoadFailure } from '../components/LoadFailure'
import { MessagesPanel } from '../components/MessagesPanel'
import { PropertiesPanel } from '../components/PropertiesPanel'
import { TelemetryPanel } from '../components/TelemetryPanel'
import { Ago } from '../components/time'
import { paths } from '../paths'
import { scopesOfTemplate, type Scope } from '../template'
import { Page } from '../ui/Page'
import { Empty, Loading } from '../ui/States'
import tabStyles from '../ui/Tabs.module.css'

type Device = Schemas['FleetDeviceDetails']

const TABS = [
  { id: 'overview', label: 'Overview' },
  { id: 'properties', label: 'Properties' },
  { id: 'commands', label: 'Commands' },
  { id: 'modules', label: 'Modules', edgeOnly: true },
  { id: 'messages', label: 'Raw data' },
  { id: 'connection', label: 'Connection' },
] as const

/** One device: how it is, what it measures, what it is set to, what it can be told. */
export function DevicePage() {
  const { deviceId } = useParams({ from: '/signed-in/devices/$deviceId' })
  const device = useQuery(deviceQuery(deviceId))
  const queryClient = useQueryClient()
  const reload = () => void queryClient.invalidateQueries({ queryKey: ['device', deviceId] })
  const live = useLive(deviceId, { connection: reload, resync: reload })

  if (device.isPending) return <Loading lines={8} label={`Loading ${deviceId}`} />
  if (device.isError) {
    if (device.error instanceof ApiError && device.error.status === 404) {
      return (
        <Empty title={`There is no device “${deviceId}”`}>
          <Link to={paths.devices}>To the devices</Link>
        </Empty>
      )
    }
    return <LoadFailure error={device.error} />
  }
  return <Loaded device={device.data} live={live} />
}

function Loaded({ device, live }: { device: Device; live: LiveState }) {
  const { tab = 'overview' } = useSearch({ from: '/signed-in/devices/$deviceId' })
  const template = useQuery({ ...templateQuery(device.template ?? ''), enabled: Boolean(device.template) })
  const scopes = template.data ? scopesOfTemplate(template.data) : []
  const tabs = TABS.filter((item) => !('edgeOnly' in item) || device.type === 'iotEdge')
  return (
    <Page
      title={device.displayName}
      crumbs={<Link to={paths.devices}>Devices</Link>}
      badge={<DeviceStatusBadge status={device.status} />}
      hint={<Facts device={device} />}
      actions={<DeviceActions device={device} />}
    >
      <nav className={tabStyles.list} aria-label="Parts of this device">
        {tabs.map((item) => (
          <Link
            key={item.id}
            to={paths.device}
            params={{ deviceId: device.id }}
            search={{ tab: item.id === 'overview' ? undefined : item.id }}
            className={tabStyles.tab ?? ''}
            activeOptions={{ explicitUndefined: true }}
          >
            {item.label}
          </Link>
        ))}
      </nav>
      <Interrupted live={live} />
      {template.isError ? <LoadFailure error={template.error} /> : null}
      {template.isFetching && !template.data ? <Loading lines={6} /> : <TabContent tab={tab} device={device} scopes={scopes} />}
    </Page>
  )
}

function Facts({ device }: { device: Device }) {
  return (
    <>
      <code>{device.id}</code> · {device.type === 'iotEdge' ? 'Edge device' : 'Device'} ·{' '}
      {device.template ? (
        <Link to={paths.template} params={{ templateId: device.template }}>
          {device.templateDisplayName ?? device.template}
        </Link>
      ) : (
        'no template'
      )}{' '}
      · {device.status === 'connected' ? <>connected <Ago time={device.connectedSince} /></> : <>last seen <Ago time={device.lastSeen} /></>}
    </>
  )
}

function TabContent({ tab, device, scopes }: { tab: string; device: Device; scopes: Scope[] }) {
  switch (tab) {
    case 'properties':
      return <PropertiesPanel deviceId={device.id} scopes={scopes} />
    case 'commands':
      return <CommandsPanel deviceId={device.id} scopes={scopes} connected={device.status === 'connected'} />
    case 'modules':
      return <EdgePanel deviceId={device.id} />
    case 'messages':
      return <MessagesPanel deviceId={device.id} modules={device.modules} />
    case 'connection':
      return <ConnectionPanel deviceId={device.id} />
    default:
      return (
        <>
          <TelemetryPanel deviceId={device.id} scopes={scopes} />
          {device.type === 'iotEdge' ? <EdgePanel deviceId={device.id} brief /> : null}
          <GatewayPanel device={device} />
        </>
      )
  }
}
