import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'

import type { Schemas } from '../api/client'
import { enrollmentGroupsQuery, provisioningQuery } from '../api/queries'
import { LoadFailure } from '../components/LoadFailure'
import { portOf, pythonDevice } from '../snippets'
import { Badge } from '../ui/Badge'
import { Card } from '../ui/Card'
import { CopyButton } from '../ui/CopyButton'
import { Facts } from '../ui/Facts'
import { Code } from '../ui/Json'
import { Page } from '../ui/Page'
import { Empty, Loading, Notice } from '../ui/States'
import { Secret } from '../ui/Secret'
import styles from './ConnectPage.module.css'

/** Where the official SDKs expect provisioning. */
const SDK_PORT = 443

type Group = Schemas['EnrollmentGroup']

/** What a device needs to connect for the first time. */
export function ConnectPage() {
  const provisioning = useQuery(provisioningQuery)
  return (
    <Page title="Connect" hint="What a device needs to connect for the first time. Any Azure IoT device SDK works.">
      <Card title="Provisioning">
        {provisioning.isPending ? <Loading lines={2} /> : null}
        {provisioning.isError ? <LoadFailure error={provisioning.error} /> : null}
        {provisioning.data ? <Provisioning info={provisioning.data} /> : null}
      </Card>
      <Groups />
      {provisioning.data ? <Example info={provisioning.data} /> : null}
    </Page>
  )
}

function Provisioning({ info }: { info: Schemas['ProvisioningInfo'] }) {
  return (
    <Facts
      facts={[
        ['Id scope', <Copied key="scope" label="id scope" text={info.idScope} />],
        ['Provisioning endpoint', <Copied key="endpoint" label="provisioning endpoint" text={info.endpoint} />],
        ['Trust bundle', <><code>ca.pem</code> in the data folder of Central: devices need it to trust this server.</>],
      ]}
    />
  )
}

function Copied({ text, label }: { text: string; label: string }) {
  return (
    <>
      <code>{text}</code> <CopyButton text={text} label={`Copy the ${label}`} />
    </>
  )
}

function Groups() {
  const groups = useQuery(enrollmentGroupsQuery)
  return (
    <Card
      title="Enrollment groups"
      hint="A device whose key is derived from a group’s key, or whose certificate leads to one of a group’s, is admitted by itself, whatever its id."
    >
      {groups.isPending ? <Loading lines={4} /> : null}
      {groups.isError ? <LoadFailure error={groups.error} /> : null}
      {groups.data?.value.length === 0 ? <Empty title="No enrollment groups">Create one with the REST API, and its keys appear here.</Empty> : null}
      {groups.data?.value.map((group) => <GroupFacts key={group.id} group={group} />)}
    </Card>
  )
}

function GroupFacts({ group }: { group: Group }) {
  return (
    <section className={styles.group} aria-label={group.displayName}>
      <h3 className={styles.name}>
        {group.displayName} <Badge>{group.type === 'iotEdge' ? 'Edge devices' : 'Devices'}</Badge>
        {group.enabled ? null : <Badge tone="bad">Off</Badge>}
      </h3>
      <Facts facts={attestationFacts(group)} />
    </section>
  )
}

function attestationFacts({ attestation, displayName }: Group): [string, ReactNode][] {
  if (attestation.type === 'x509') {
    const certificates = attestation.x509?.signingCertificates
    return [
      ['Primary certificate', certificateFact(certificates?.primary)],
      ['Secondary certificate', certificateFact(certificates?.secondary)],
    ]
  }
  const keys = attestation.symmetricKey
  const secret = (which: string, key: string | undefined) =>
    key ? <Secret label={`${which} key of ${displayName}`} value={key} /> : 'not shown to your role'
  return [
    ['Primary key', secret('primary', keys?.primaryKey)],
    ['Secondary key', secret('secondary', keys?.secondaryKey)],
  ]
}

function certificateFact(certificate: Schemas['SigningX509Certificate'] | undefined) {
  if (!certificate) return 'none'
  return (
    <>
      <code>{certificate.info?.sha1Thumbprint}</code> {certificate.verified ? null : <Badge tone="bad">Not verified</Badge>}
    </>
  )
}

function Example({ info }: { info: Schemas['ProvisioningInfo'] }) {
  const program = pythonDevice(info)
  return (
    <Card
      title="A first device in Python"
      hint={<>With the unmodified SDK: <code>pip install azure-iot-device</code></>}
      actions={<CopyButton text={program} label="Copy the program" />}
    >
      {portOf(info.endpoint) === SDK_PORT ? null : (
        <Notice>
          The SDK registers at port {SDK_PORT} and sends to port 8883, and cannot be told others. This server is at port {portOf(info.endpoint)}: start
          it with <code>--https 0.0.0.0:{SDK_PORT}</code>, or map the port in front of it.
        </Notice>
      )}
      <Code label="Python program" text={program} />
    </Card>
  )
}
