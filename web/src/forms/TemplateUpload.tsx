import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { api, version, type Schemas } from '../api/client'
import { ApiError, unwrap } from '../api/errors'
import { templatesQuery } from '../api/queries'
import { paths } from '../paths'
import { textOf } from '../template'
import { Button } from '../ui/Button'
import { Dialog, DialogActions } from '../ui/Dialog'
import { TextField } from '../ui/Field'
import { Form } from '../ui/Form'
import { ErrorBox } from '../ui/States'
import { parseDocument, templateIdOf } from './document'
import { DocumentField } from './DocumentField'

/** A template as it is, from a file or the clipboard. */
export function TemplateUpload({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('')
  const [typedId, setTypedId] = useState<string>()
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const { document, problem } = parseDocument(text)
  const id = typedId ?? suggestedId(document)
  const upload = useMutation({
    mutationFn: (body: Schemas['DeviceTemplate']) =>
      unwrap(api.PUT('/api/deviceTemplates/{deviceTemplateId}', { params: { path: { deviceTemplateId: id }, query: version }, body })),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: templatesQuery.queryKey })
      await navigate({ to: paths.template, params: { templateId: id } })
    },
  })
  const ready = document !== undefined && id !== '' && !upload.isPending
  return (
    <Dialog title="Upload a template" wide onClose={onClose}>
      <Form
        label="Upload a template"
        onSubmit={() => {
          // What is no template, the server refuses, and says where.
          if (ready) upload.mutate(document as unknown as Schemas['DeviceTemplate'])
        }}
      >
        <DocumentField label="Template (JSON)" text={text} problem={problem} onChange={(value) => { setText(value) }} />
        <TextField label="Id" value={id} onChange={setTypedId} hint="A DTMI, such as dtmi:modelDefinition:plant:pump;1" />
        {upload.error ? <ErrorBox message={upload.error.message} detail={detailOf(upload.error)} /> : null}
        <DialogActions>
          <Button onPress={onClose}>Cancel</Button>
          <Button type="submit" look="primary" isDisabled={!ready}>Publish</Button>
        </DialogActions>
      </Form>
    </Dialog>
  )
}

function suggestedId(document: Record<string, unknown> | undefined): string {
  if (!document) return ''
  const own = document['@id']
  return typeof own === 'string' ? own : templateIdOf(textOf(document['displayName']) ?? 'template')
}

function detailOf(error: Error): string | undefined {
  if (!(error instanceof ApiError)) return undefined
  return error.context.map(({ dataPath, message }) => `${dataPath}: ${message}`).join('\n') || undefined
}
