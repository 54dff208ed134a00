import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { api, version } from '../api/client'
import { problemWith, unwrap } from '../api/errors'
import { templatesQuery } from '../api/queries'
import { paths } from '../paths'
import { textOf } from '../template'
import { Button } from '../ui/Button'
import { Dialog, DialogActions } from '../ui/Dialog'
import { CheckField, SelectField, TextField } from '../ui/Field'
import { Form } from '../ui/Form'
import { ErrorBox } from '../ui/States'

/** What the API takes as id of a device. */
const ID = /^[A-Za-z0-9][A-Za-z0-9\-.:_]{0,127}$/

/** Gives a device an identity before it first connects. */
export function DeviceCreate({ onClose }: { onClose: () => void }) {
  const [id, setId] = useState('')
  const [name, setName] = useState('')
  const [template, setTemplate] = useState('')
  const [edge, setEdge] = useState(false)
  const templates = useQuery(templatesQuery)
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const create = useMutation({
    mutationFn: () =>
      unwrap(
        api.PUT('/api/devices/{deviceId}', {
          params: { path: { deviceId: id }, query: version },
          body: { displayName: name || id, ...(template ? { template } : {}), ...(edge ? { type: ['iotEdge' as const] } : {}) },
        }),
      ),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: ['fleet'] })
      await navigate({ to: paths.device, params: { deviceId: id }, search: { tab: 'connection' } })
    },
  })
  const idProblem = id === '' || ID.test(id) ? undefined : 'Letters, digits and - . : _ only, 128 at the most.'
  const ready = ID.test(id) && !create.isPending
  return (
    <Dialog title="New device" onClose={onClose}>
      <Form
        label="New device"
        onSubmit={() => {
          if (ready) create.mutate()
        }}
      >
        <TextField label="Id" value={id} onChange={setId} hint="The device uses it to connect; it cannot be changed." problem={idProblem ?? problemWith(create.error, 'id')} />
        <TextField label="Name" value={name} onChange={setName} placeholder={id} problem={problemWith(create.error, 'displayName')} />
        <SelectField
          label="Template"
          value={template}
          problem={problemWith(create.error, 'template')}
          onChange={(value) => {
            setTemplate(value)
            setEdge(templates.data?.value.find((one) => one['@id'] === value)?.['@type'].includes('EdgeModel') ?? edge)
          }}
          options={[
            { value: '', label: 'None yet' },
            ...(templates.data?.value ?? []).map((one) => ({ value: one['@id'] ?? '', label: textOf(one.displayName) ?? one['@id'] ?? '' })),
          ]}
        />
        <CheckField label="It is an edge device: it runs modules" checked={edge} onChange={setEdge} />
        {create.error ? <ErrorBox message={create.error.message} /> : null}
        <DialogActions>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" look="primary" isDisabled={!ready}>Create</Button>
        </DialogActions>
      </Form>
    </Dialog>
  )
}
