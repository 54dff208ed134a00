import { useQuery, useQueryClient } from '@tanstack/react-query'

import type { Schemas } from '../api/client'
import { useLive } from '../api/live'
import { edgeQuery } from '../api/queries'
import { Badge, type Tone } from '../ui/Badge'
import { Card } from '../ui/Card'
import { Empty, Loading, Notice } from '../ui/States'
import { Table, type Column } from '../ui/Table'
import { LoadFailure } from './LoadFailure'
import { Ago } from './time'

type Module = Schemas['EdgeModule']

const TONES: Record<string, Tone> = { running: 'good', backoff: 'warn', unhealthy: 'warn', failed: 'bad', dead: 'bad' }

const COLUMNS: Column<Module>[] = [
  {
    heading: 'Module',
    cell: (module) => (
      <>
        <strong>{module.id}</strong>
        {module.isSystem ? <div style={{ color: 'var(--text-soft)' }}>runtime</div> : null}
      </>
    ),
  },
  {
    heading: 'State',
    cell: (module) => {
      const state = module.runtimeStatus ?? 'not reported'
      return (
        <>
          <Badge tone={TONES[state] ?? 'idle'}>{state}</Badge>
          {module.statusDescription ? <div style={{ color: 'var(--text-soft)' }}>{module.statusDescription}</div> : null}
        </>
      )
    },
  },
  { heading: 'Restarts', cell: (module) => module.restartCount ?? 0 },
  { heading: 'Started', cell: (module) => <Ago time={module.lastStart} /> },
  { heading: 'Last exit', cell: (module) => <LastExit module={module} /> },
  { heading: 'Image', cell: (module) => <code>{module.image ?? '–'}</code> },
]

function LastExit({ module }: { module: Module }) {
  if (!module.lastExit || new Date(module.lastExit).getTime() <= 0) return <>never</>
  return (
    <>
      <Ago time={module.lastExit} /> (code {module.exitCode ?? 0})
    </>
  )
}

/** What the edge runs and how it is, as its runtime last reported it. */
export function EdgePanel({ deviceId, brief = false }: { deviceId: string; brief?: boolean }) {
  const edge = useQuery(edgeQuery(deviceId))
  const queryClient = useQueryClient()
  const reload = () => void queryClient.invalidateQueries({ queryKey: ['edge', deviceId] })
  useLive(deviceId, { edge: reload, connection: reload, resync: reload })

  if (edge.isPending) return <Loading />
  if (edge.isError) return <LoadFailure error={edge.error} />
  const view = edge.data
  const modules = brief ? view.modules.filter((module) => !module.isSystem) : view.modules
  return (
    <Card title="Modules" hint={<Report view={view} />} flush>
      {view.connected ? null : <Notice>The edge is not connected; this is what it reported last. Its modules go on without Central.</Notice>}
      {modules.length === 0 ? (
        <Empty title="No modules">Apply a deployment manifest to this device, and its modules appear here.</Empty>
      ) : (
        <Table label="Modules" columns={COLUMNS} rows={modules} rowKey={(module) => module.id} />
      )}
      {brief || view.clients.length === 0 ? null : <Clients clients={view.clients} />}
    </Card>
  )
}

function Report({ view }: { view: Schemas['EdgeView'] }) {
  const applied = view.appliedVersion === view.desiredVersion
  const status = view.appliedStatus
  return (
    <>
      Last report <Ago time={view.lastReport} />
      {' · '}
      {applied && status?.code === 200
        ? `manifest version ${String(view.desiredVersion)} applied`
        : `manifest version ${String(view.desiredVersion)} ${status && applied ? `answered ${String(status.code)}: ${status.description}` : 'not applied yet'}`}
    </>
  )
}

/** The vendor's runtime writes the word with a capital letter. */
function isConnected(client: Schemas['EdgeClient']): boolean {
  return client.status.toLowerCase() === 'connected'
}

function Clients({ clients }: { clients: Schemas['EdgeClient'][] }) {
  return (
    <Table
      label="Clients of the edge hub"
      rows={clients}
      rowKey={(client) => client.id}
      columns={[
        { heading: 'Client of the edge hub', cell: (client) => <code>{client.id}</code> },
        { heading: 'Session', cell: (client) => <Badge tone={isConnected(client) ? 'good' : 'idle'}>{client.status}</Badge> },
        { heading: 'Since', cell: (client) => <Ago time={isConnected(client) ? client.lastConnected : client.lastDisconnected} /> },
      ]}
    />
  )
}
