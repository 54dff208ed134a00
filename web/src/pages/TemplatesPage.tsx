import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'

import type { Schemas } from '../api/client'
import { templatesQuery } from '../api/queries'
import { LoadFailure } from '../components/LoadFailure'
import { usePermission } from '../components/usePermission'
import { TemplateImport } from '../forms/TemplateImport'
import { TemplateUpload } from '../forms/TemplateUpload'
import { paths } from '../paths'
import { scopesOfTemplate, textOf } from '../template'
import { Badge } from '../ui/Badge'
import { Button } from '../ui/Button'
import { Card } from '../ui/Card'
import { Page } from '../ui/Page'
import { Empty, Loading } from '../ui/States'
import { Table, type Column } from '../ui/Table'

type Template = Schemas['DeviceTemplate']

const COLUMNS: Column<Template>[] = [
  {
    heading: 'Template',
    cell: (template) => (
      <>
        <Link to={paths.template} params={{ templateId: template['@id'] ?? '' }}>
          <strong>{textOf(template.displayName) ?? template['@id']}</strong>
        </Link>
        <div><code>{template['@id']}</code></div>
      </>
    ),
  },
  { heading: 'Kind', cell: (template) => <Badge tone={isEdge(template) ? 'accent' : 'idle'}>{isEdge(template) ? 'Edge device' : 'Device'}</Badge> },
  { heading: 'Modules', cell: (template) => modulesOf(template).join(', ') || '–' },
  { heading: 'Capabilities', cell: countsOf },
]

function isEdge(template: Template): boolean {
  return template['@type'].includes('EdgeModel')
}

function modulesOf(template: Template): string[] {
  return [...new Set(scopesOfTemplate(template).flatMap((scope) => scope.module ?? []))]
}

function countsOf(template: Template): string {
  const scopes = scopesOfTemplate(template)
  const count = (part: 'telemetry' | 'properties' | 'commands') => scopes.reduce((sum, scope) => sum + scope[part].length, 0)
  return `Telemetry ${String(count('telemetry'))} · properties ${String(count('properties'))} · commands ${String(count('commands'))}`
}

/** What kinds of devices there are. */
export function TemplatesPage() {
  const templates = useQuery(templatesQuery)
  const allowed = usePermission('deviceTemplates.manage')
  const [dialog, setDialog] = useState<'import' | 'upload'>()
  const close = () => {
    setDialog(undefined)
  }
  return (
    <Page
      title="Templates"
      hint="What a kind of device measures, what it can be set to and what it can be told."
      actions={
        allowed ? (
          <>
            <Button onPress={() => { setDialog('upload') }}>Upload a template</Button>
            <Button look="primary" onPress={() => { setDialog('import') }}>Import a manifest</Button>
          </>
        ) : undefined
      }
    >
      <Card title="Device templates" flush>
        {templates.isPending ? <Loading lines={5} /> : null}
        {templates.isError ? <LoadFailure error={templates.error} /> : null}
        {templates.data?.value.length === 0 ? (
          <Empty title="No templates yet">Import the deployment manifest of an edge device, and its template is generated; or upload a template as JSON.</Empty>
        ) : null}
        {templates.data && templates.data.value.length > 0 ? (
          <Table label="Device templates" columns={COLUMNS} rows={templates.data.value} rowKey={(template) => template['@id'] ?? ''} />
        ) : null}
      </Card>
      {dialog === 'import' ? <TemplateImport onClose={close} /> : null}
      {dialog === 'upload' ? <TemplateUpload onClose={close} /> : null}
    </Page>
  )
}
