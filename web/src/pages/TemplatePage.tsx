import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useState } from 'react'

import { ApiError } from '../api/errors'
import { templateQuery } from '../api/queries'
import { LoadFailure } from '../components/LoadFailure'
import { TemplateModel } from '../components/TemplateModel'
import { paths } from '../paths'
import { scopesOfTemplate, textOf } from '../template'
import { Card } from '../ui/Card'
import { Choice } from '../ui/Choice'
import { CopyButton } from '../ui/CopyButton'
import { Json } from '../ui/Json'
import { Page } from '../ui/Page'
import { Empty, Loading } from '../ui/States'

/** One template: its capabilities readable, and the document itself. */
export function TemplatePage() {
  const { templateId } = useParams({ from: '/signed-in/templates/$templateId' })
  const template = useQuery(templateQuery(templateId))
  const [view, setView] = useState<'model' | 'json'>('model')

  if (template.isPending) return <Loading lines={8} label="Loading the template" />
  if (template.isError) {
    if (!(template.error instanceof ApiError) || template.error.status !== 404) return <LoadFailure error={template.error} />
    return (
      <Empty title={`There is no template “${templateId}”`}>
        <Link to={paths.templates}>To the templates</Link>
      </Empty>
    )
  }
  return (
    <Page
      title={textOf(template.data.displayName) ?? templateId}
      crumbs={<Link to={paths.templates}>Templates</Link>}
      hint={<code>{templateId}</code>}
      actions={
        <Choice
          label="View"
          options={[{ value: 'model', label: 'Capabilities' }, { value: 'json', label: 'JSON' }] as const}
          chosen={[view]}
          onToggle={setView}
        />
      }
    >
      {textOf(template.data.description) ? <p>{textOf(template.data.description)}</p> : null}
      {view === 'model' ? (
        <TemplateModel scopes={scopesOfTemplate(template.data)} />
      ) : (
        <Card title="JSON" actions={<CopyButton text={JSON.stringify(template.data, null, 2)} label="Copy the template" />}>
          <Json label="Template" value={template.data} />
        </Card>
      )}
    </Page>
  )
}
