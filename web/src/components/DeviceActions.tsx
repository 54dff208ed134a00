import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { api, version, type Schemas } from '../api/client'
import { unwrap } from '../api/errors'
import { deviceQuery } from '../api/queries'
import { paths } from '../paths'
import { Button } from '../ui/Button'
import { ConfirmDialog } from '../ui/Dialog'
import { usePermission } from './usePermission'

/** Block or unblock, and delete: each after a question. */
export function DeviceActions({ device }: { device: Schemas['FleetDeviceDetails'] }) {
  const mayUpdate = usePermission('devices.update')
  const mayDelete = usePermission('devices.delete')
  const [asked, setAsked] = useState<'block' | 'delete'>()
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const params = { path: { deviceId: device.id }, query: version }
  const close = () => {
    setAsked(undefined)
  }
  const setEnabled = async () => {
    await unwrap(api.PATCH('/api/devices/{deviceId}', { params, body: { enabled: !device.enabled } }))
    await queryClient.invalidateQueries({ queryKey: deviceQuery(device.id).queryKey })
  }
  const remove = async () => {
    await unwrap(api.DELETE('/api/devices/{deviceId}', { params }))
    queryClient.removeQueries({ queryKey: deviceQuery(device.id).queryKey })
    await queryClient.invalidateQueries({ queryKey: ['fleet'] })
    await navigate({ to: paths.devices })
  }
  return (
    <>
      {mayUpdate ? <Button onPress={() => { setAsked('block') }}>{device.enabled ? 'Block' : 'Unblock'}</Button> : null}
      {mayDelete ? <Button look="danger" onPress={() => { setAsked('delete') }}>Delete</Button> : null}
      {asked === 'block' ? (
        <ConfirmDialog title={`${device.enabled ? 'Block' : 'Unblock'} ${device.displayName}`} action={device.enabled ? 'Block' : 'Unblock'} onClose={close} onConfirm={setEnabled}>
          {device.enabled ? 'Its connection is closed, and it cannot connect again until it is unblocked. What it sent stays.' : 'It can connect again.'}
        </ConfirmDialog>
      ) : null}
      {asked === 'delete' ? (
        <ConfirmDialog title={`Delete ${device.displayName}`} action="Delete" danger onClose={close} onConfirm={remove}>
          Its identity, its keys, its twin and its modules go; this cannot be taken back.
        </ConfirmDialog>
      ) : null}
    </>
  )
}
