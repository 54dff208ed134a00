import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'

import { api, version, type Schemas } from '../api/client'
import { unwrap } from '../api/errors'
import { templatesQuery } from '../api/queries'
import { TemplateModel } from '../components/TemplateModel'
import { paths } from '../paths'
import { scopesOfTemplate } from '../template'
import { Button } from '../ui/Button'
import { Dialog, DialogActions } from '../ui/Dialog'
import { TextField } from '../ui/Field'
import { Form } from '../ui/Form'
import { ErrorBox, Notice } from '../ui/States'
import { parseDocument, templateIdOf, titleOf, type Document } from './document'
import { DocumentField } from './DocumentField'

type Generated = Schemas['TemplateFromManifestResponse']

/** Deployment manifest in, device template out: generated, looked at, published. */
export function TemplateImport({ onClose }: { onClose: () => void }) {
  const [generated, setGenerated] = useState<Generated>()
  return (
    <Dialog title={generated ? 'The generated template' : 'Import a deployment manifest'} wide onClose={onClose}>
      {generated ? (
        <Preview
          generated={generated}
          onBack={() => {
            setGenerated(undefined)
          }}
        />
      ) : (
        <Choose onClose={onClose} onGenerated={setGenerated} />
      )}
    </Dialog>
  )
}

function Choose({ onClose, onGenerated }: { onClose: () => void; onGenerated: (generated: Generated) => void }) {
  const [text, setText] = useState('')
  const [name, setName] = useState('')
  const { document, problem } = parseDocument(text)
  const generate = useMutation({
    mutationFn: (data: Document) =>
      unwrap(api.POST('/api/ext/v1/deviceTemplates/fromManifest', { body: { id: templateIdOf(name), displayName: name, data } })),
    onSuccess: onGenerated,
  })
  const ready = document !== undefined && name.trim() !== '' && !generate.isPending
  return (
    <Form
      label="Import a manifest"
      onSubmit={() => {
        if (ready) generate.mutate(document)
      }}
    >
      <p>Every module of the manifest becomes part of a template; its desired properties become writable properties.</p>
      <DocumentField
        label="Manifest (JSON)"
        text={text}
        problem={problem}
        onChange={(value, file) => {
          setText(value)
          if (file && name === '') setName(titleOf(file))
        }}
      />
      <TextField label="Name of the template" value={name} onChange={setName} hint={name ? templateIdOf(name) : undefined} />
      {generate.error ? <ErrorBox message={generate.error.message} /> : null}
      <DialogActions>
        <Button onPress={onClose}>Cancel</Button>
        <Button type="submit" look="primary" isDisabled={!ready}>Generate</Button>
      </DialogActions>
    </Form>
  )
}

function Preview({ generated, onBack }: { generated: Generated; onBack: () => void }) {
  const { template, warnings } = generated
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const publish = useMutation({
    mutationFn: () => {
      const deviceTemplateId = template['@id'] ?? ''
      return unwrap(api.PUT('/api/deviceTemplates/{deviceTemplateId}', { params: { path: { deviceTemplateId }, query: version }, body: template }))
    },
    onSuccess: async (published) => {
      await queryClient.invalidateQueries({ queryKey: templatesQuery.queryKey })
      await navigate({ to: paths.template, params: { templateId: published['@id'] ?? '' } })
    },
  })
  return (
    <>
      {warnings.length > 0 ? (
        <Notice>
          <strong>Left out</strong>
          <ul>
            {warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </Notice>
      ) : null}
      <TemplateModel scopes={scopesOfTemplate(template)} />
      <p>A manifest says nothing of telemetry and commands. They can be added to the template as JSON afterwards.</p>
      {publish.error ? <ErrorBox message={publish.error.message} /> : null}
      <DialogActions>
        <Button onPress={onBack}>Back</Button>
        <Button look="primary" isDisabled={publish.isPending} onPress={() => { publish.mutate() }}>Publish</Button>
      </DialogActions>
    </>
  )
}
