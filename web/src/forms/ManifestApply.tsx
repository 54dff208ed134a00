import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { api, version, type Schemas } from '../api/client'
import { unwrap } from '../api/errors'
import { edgeDevicesQuery, edgeQuery } from '../api/queries'
import { LoadFailure } from '../components/LoadFailure'
import { modulesOfManifest } from '../manifest'
import { paths } from '../paths'
import { ConfirmDialog } from '../ui/Dialog'
import { SelectField } from '../ui/Field'
import { Loading } from '../ui/States'

interface Props {
  manifest: Schemas['DeploymentManifest']
  onClose: () => void
}

/** Applies a manifest to one edge device, after saying what that does. */
export function ManifestApply({ manifest, onClose }: Props) {
  const devices = useQuery(edgeDevicesQuery)
  const [chosen, setChosen] = useState<string>()
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const deviceId = chosen ?? devices.data?.value[0]?.id
  const apply = async () => {
    if (deviceId === undefined) throw new Error('Choose an edge device.')
    const body = { displayName: manifest.displayName ?? manifest.id ?? '', data: manifest.data }
    await unwrap(api.POST('/api/devices/{deviceId}/applyDeploymentManifest', { params: { path: { deviceId }, query: { 'api-version': version['api-version'] } }, body }))
    await queryClient.invalidateQueries({ queryKey: edgeQuery(deviceId).queryKey })
    await navigate({ to: paths.device, params: { deviceId }, search: { tab: 'modules' } })
  }
  return (
    <ConfirmDialog title="Apply to an edge device" action="Apply" onClose={onClose} onConfirm={apply}>
      {devices.isPending ? <Loading lines={2} /> : null}
      {devices.isError ? <LoadFailure error={devices.error} /> : null}
      {devices.data ? (
        <SelectField
          label="Edge device"
          value={deviceId ?? ''}
          options={devices.data.value.map((device) => ({ value: device.id, label: `${device.displayName} (${device.id})` }))}
          onChange={setChosen}
        />
      ) : null}
      <p>
        The device will run {modulesOfManifest(manifest.data).join(', ') || 'no module'} and nothing else: modules that are not in this manifest are
        stopped and removed, and settings changed by hand are replaced.
      </p>
    </ConfirmDialog>
  )
}
