import { schemaText, type Capability, type Command, type Property, type Scope } from '../template'
import { Badge } from '../ui/Badge'
import { Card } from '../ui/Card'
import { Empty } from '../ui/States'
import { Table, type Column } from '../ui/Table'

/** What a template says a device can do, readable: place by place, telemetry, properties and commands. */
export function TemplateModel({ scopes }: { scopes: Scope[] }) {
  if (scopes.length === 0) {
    return (
      <Card title="Capabilities">
        <Empty title="No capabilities">This model describes neither telemetry nor properties nor commands.</Empty>
      </Card>
    )
  }
  return scopes.map((scope) => (
    <Card key={`${scope.module ?? ''}/${scope.component ?? ''}`} title={scope.label} hint={hintOf(scope)} flush>
      {scope.telemetry.length > 0 ? <Table label={`Telemetry of ${scope.label}`} columns={TELEMETRY} rows={scope.telemetry} rowKey={nameOf} /> : null}
      {scope.properties.length > 0 ? <Table label={`Properties of ${scope.label}`} columns={PROPERTIES} rows={scope.properties} rowKey={nameOf} /> : null}
      {scope.commands.length > 0 ? <Table label={`Commands of ${scope.label}`} columns={COMMANDS} rows={scope.commands} rowKey={nameOf} /> : null}
    </Card>
  ))
}

const nameOf = (item: { name: string }) => item.name

function hintOf(scope: Scope): string {
  if (scope.component) return scope.module ? `Component of the module ${scope.module}` : 'Component'
  return scope.module ? 'Edge module' : 'The device itself'
}

function named<Row extends { name: string; label: string; description?: string }>(heading: string): Column<Row> {
  return {
    heading,
    cell: (item) => (
      <>
        <strong>{item.label}</strong> <code>{item.name}</code>
        {item.description ? <div>{item.description}</div> : null}
      </>
    ),
  }
}

const TELEMETRY: Column<Capability>[] = [
  named('Telemetry'),
  { heading: 'Schema', cell: (item) => schemaText(item.schema) },
  { heading: 'Unit', cell: (item) => item.unit ?? '–' },
]

const PROPERTIES: Column<Property>[] = [
  named('Property'),
  { heading: 'Schema', cell: (item) => schemaText(item.schema) },
  { heading: 'Unit', cell: (item) => item.unit ?? '–' },
  {
    heading: 'Kind',
    cell: (item) => (item.cloud ? <Badge tone="accent">Cloud</Badge> : item.writable ? <Badge tone="good">Writable</Badge> : <Badge>Read-only</Badge>),
  },
]

const COMMANDS: Column<Command>[] = [
  named('Command'),
  { heading: 'Request', cell: (item) => payloadText(item.request) },
  { heading: 'Response', cell: (item) => payloadText(item.response) },
]

function payloadText(payload: Capability | undefined): string {
  return payload ? `${payload.label}: ${schemaText(payload.schema)}${payload.unit ? ` (${payload.unit})` : ''}` : 'none'
}
