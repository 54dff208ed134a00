import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'

import { ApiError, problemWith } from '../api/errors'
import { patchProperties, propertiesQuery, stateOf, type Place, type PropertyState } from '../api/scope'
import { PropertyStatus } from '../components/PropertyStatus'
import { usePermission } from '../components/usePermission'
import type { Property } from '../template'
import { Button } from '../ui/Button'
import { Form, FormActions } from '../ui/Form'
import { ErrorBox } from '../ui/States'
import styles from './PropertiesForm.module.css'
import { SchemaField } from './SchemaField'
import { changesOf, draftOf, type Draft } from './value'

interface Props {
  place: Place
  label: string
  properties: Property[]
  values: Record<string, unknown>
}

/** The form of the writable and cloud properties of one place. Only what was changed is sent. */
export function PropertiesForm({ place, label, properties, values }: Props) {
  const [drafts, setDrafts] = useState<Record<string, Draft>>({})
  const allowed = usePermission('devices.update')
  const queryClient = useQueryClient()
  const held = (property: Property) => {
    const state = stateOf(values, property.name)
    return state.version === undefined ? state.reported : state.desired
  }
  const { changes, problems } = changesOf(properties, drafts, held)
  const changed = Object.keys(changes).length
  const save = useMutation({
    mutationFn: () => patchProperties(place, changes),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: propertiesQuery(place).queryKey })
      setDrafts({})
    },
  })
  /** What is on its way is pending already: a device may answer before the page has read the request back. */
  const shownState = ({ name }: Property): PropertyState => {
    const state = stateOf(values, name)
    return save.isPending && name in changes ? { ...state, desired: changes[name], progress: 'pending' } : state
  }
  const submit = () => {
    if (changed > 0 && Object.keys(problems).length === 0 && !save.isPending) save.mutate()
  }
  return (
    <Form label={`${label} properties`} onSubmit={submit}>
      <div className={styles.rows}>
        {properties.map((property) => (
          <div key={property.name} className={styles.row}>
            <SchemaField
              capability={property}
              draft={drafts[property.name] ?? draftOf(property.schema, held(property))}
              problem={problems[property.name] ?? problemWith(save.error, property.name)}
              onChange={(draft) => {
                save.reset()
                setDrafts((before) => ({ ...before, [property.name]: draft }))
              }}
            />
            <PropertyStatus property={property} state={shownState(property)} />
          </div>
        ))}
      </div>
      <div className={styles.foot}>
        {save.error ? <ErrorBox message={save.error.message} detail={save.error instanceof ApiError && save.error.requestId ? `Request ${save.error.requestId}` : undefined} /> : null}
        <FormActions>
          <Button type="submit" look="primary" isDisabled={!allowed || changed === 0 || Object.keys(problems).length > 0 || save.isPending}>
            Save
          </Button>
          {Object.keys(drafts).length > 0 ? (
            <Button
              onPress={() => {
                save.reset()
                setDrafts({})
              }}
            >
              Discard
            </Button>
          ) : null}
          <span className={styles.hint}>{hintOf(allowed, changed)}</span>
        </FormActions>
      </div>
    </Form>
  )
}

function hintOf(allowed: boolean, changed: number): string {
  if (!allowed) return 'Your role does not allow changes.'
  if (changed === 0) return 'Nothing changed.'
  return changed === 1 ? '1 property changed; the others stay as they are.' : `${String(changed)} properties changed; the others stay as they are.`
}
