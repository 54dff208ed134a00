import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { api, version } from '../api/client'
import { problemWith, unwrap } from '../api/errors'
import { manifestsQuery } from '../api/queries'
import { paths } from '../paths'
import { Button } from '../ui/Button'
import { Dialog, DialogActions } from '../ui/Dialog'
import { TextField } from '../ui/Field'
import { Form } from '../ui/Form'
import { ErrorBox } from '../ui/States'
import { parseDocument, slugOf, titleOf, type Document } from './document'
import { DocumentField } from './DocumentField'

/** Stores a deployment manifest under an id of its own. */
export function ManifestUpload({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('')
  const [name, setName] = useState('')
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const { document, problem } = parseDocument(text)
  const id = slugOf(name)
  const upload = useMutation({
    mutationFn: (data: Document) =>
      unwrap(
        api.PUT('/api/deploymentManifests/{deploymentManifestId}', {
          params: { path: { deploymentManifestId: id }, query: version },
          body: { displayName: name, data },
        }),
      ),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: manifestsQuery.queryKey })
      onClose()
      await navigate({ to: paths.manifests, search: { manifest: id } })
    },
  })
  const ready = document !== undefined && name.trim() !== '' && !upload.isPending
  return (
    <Dialog title="Upload a deployment manifest" wide onClose={onClose}>
      <Form
        label="Upload a manifest"
        onSubmit={() => {
          if (ready) upload.mutate(document)
        }}
      >
        <DocumentField
          label="Manifest (JSON)"
          text={text}
          problem={problem ?? problemWith(upload.error, 'data')}
          onChange={(value, file) => {
            setText(value)
            if (file && name === '') setName(titleOf(file))
          }}
        />
        <TextField label="Name" value={name} onChange={setName} hint={name ? `Id ${id}` : undefined} />
        {upload.error ? <ErrorBox message={upload.error.message} /> : null}
        <DialogActions>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" look="primary" isDisabled={!ready}>Store</Button>
        </DialogActions>
      </Form>
    </Dialog>
  )
}
