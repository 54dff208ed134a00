import { useQuery } from '@tanstack/react-query'
import { Link, useSearch } from '@tanstack/react-router'
import { useState } from 'react'

import type { Schemas } from '../api/client'
import { manifestsQuery } from '../api/queries'
import { LoadFailure } from '../components/LoadFailure'
import { usePermission } from '../components/usePermission'
import { ManifestApply } from '../forms/ManifestApply'
import { ManifestUpload } from '../forms/ManifestUpload'
import { modulesOfManifest } from '../manifest'
import { paths } from '../paths'
import { Button } from '../ui/Button'
import { Card } from '../ui/Card'
import { CopyButton } from '../ui/CopyButton'
import { Json } from '../ui/Json'
import { Page } from '../ui/Page'
import { Empty, Loading } from '../ui/States'
import { Table } from '../ui/Table'

type Manifest = Schemas['DeploymentManifest']

/** The stored deployment manifests: what edge devices are to run. */
export function ManifestsPage() {
  const manifests = useQuery(manifestsQuery)
  const { manifest: chosenId } = useSearch({ from: '/signed-in/manifests' })
  const chosen = manifests.data?.value.find((manifest) => manifest.id === chosenId)
  const allowed = usePermission('deploymentManifests.manageInstance')
  const [uploading, setUploading] = useState(false)
  return (
    <Page
      title="Manifests"
      hint="What an edge device is to run: modules, their settings and the routes between them."
      actions={allowed ? <Button look="primary" onPress={() => { setUploading(true) }}>Upload a manifest</Button> : undefined}
    >
      <Card title="Deployment manifests" flush>
        {manifests.isPending ? <Loading lines={4} /> : null}
        {manifests.isError ? <LoadFailure error={manifests.error} /> : null}
        {manifests.data?.value.length === 0 ? <Empty title="No manifests yet">Upload one, then apply it to an edge device.</Empty> : null}
        {manifests.data && manifests.data.value.length > 0 ? <List manifests={manifests.data.value} /> : null}
      </Card>
      {chosen ? <Chosen manifest={chosen} /> : null}
      {uploading ? <ManifestUpload onClose={() => { setUploading(false) }} /> : null}
    </Page>
  )
}

function List({ manifests }: { manifests: Manifest[] }) {
  return (
    <Table
      label="Deployment manifests"
      rows={manifests}
      rowKey={(manifest) => manifest.id ?? ''}
      columns={[
        {
          heading: 'Manifest',
          cell: (manifest) => (
            <Link to={paths.manifests} search={{ manifest: manifest.id ?? '' }} resetScroll={false}>
              <strong>{manifest.displayName ?? manifest.id}</strong>
            </Link>
          ),
        },
        { heading: 'Id', cell: (manifest) => <code>{manifest.id}</code> },
        { heading: 'Modules', cell: (manifest) => modulesOfManifest(manifest.data).join(', ') || 'none' },
      ]}
    />
  )
}

function Chosen({ manifest }: { manifest: Manifest }) {
  const allowed = usePermission('devices.update')
  const [applying, setApplying] = useState(false)
  return (
    <Card
      title={manifest.displayName ?? manifest.id ?? 'Manifest'}
      actions={
        <div style={{ display: 'flex', gap: '0.5rem' }}>
          <CopyButton text={JSON.stringify(manifest.data, null, 2)} label="Copy the manifest" />
          {allowed ? <Button look="primary" onPress={() => { setApplying(true) }}>Apply to a device</Button> : null}
        </div>
      }
    >
      <Json label="Manifest" value={manifest.data} />
      {applying ? <ManifestApply manifest={manifest} onClose={() => { setApplying(false) }} /> : null}
    </Card>
  )
}
