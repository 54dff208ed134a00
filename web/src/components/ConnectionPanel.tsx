import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'

import type { Schemas } from '../api/client'
import { credentialsQuery, provisioningQuery } from '../api/queries'
import { Card } from '../ui/Card'
import { CopyButton } from '../ui/CopyButton'
import { Facts } from '../ui/Facts'
import { Secret } from '../ui/Secret'
import { Loading } from '../ui/States'
import { LoadFailure } from './LoadFailure'

/** What this device connects with. */
export function ConnectionPanel({ deviceId }: { deviceId: string }) {
  const credentials = useQuery(credentialsQuery(deviceId))
  const provisioning = useQuery(provisioningQuery)
  if (credentials.isPending) return <Loading />
  if (credentials.isError) return <LoadFailure error={credentials.error} />
  const { idScope, symmetricKey, x509 } = credentials.data
  return (
    <Card title="Connection" hint="What the device provisions itself with.">
      <Facts
        facts={[
          ['Registration id', <><code>{deviceId}</code> <CopyButton text={deviceId} label="Copy the registration id" /></>],
          ['Id scope', <><code>{idScope}</code> <CopyButton text={idScope} label="Copy the id scope" /></>],
          ['Provisioning endpoint', <code key="endpoint">{provisioning.data?.endpoint ?? '–'}</code>],
          ...(x509 ? certificateFacts(x509) : keyFacts(symmetricKey)),
        ]}
      />
    </Card>
  )
}

function keyFacts(keys: Schemas['SymmetricKey'] | undefined): [string, ReactNode][] {
  return [
    ['Primary key', keys?.primaryKey ? <Secret label="primary key" value={keys.primaryKey} /> : 'none'],
    ['Secondary key', keys?.secondaryKey ? <Secret label="secondary key" value={keys.secondaryKey} /> : 'none'],
  ]
}

function certificateFacts({ clientCertificates }: Schemas['X509']): [string, ReactNode][] {
  const thumbprint = (certificate: Schemas['X509Certificate'] | undefined) =>
    certificate?.info ? <code>{certificate.info.sha1Thumbprint}</code> : 'none'
  return [
    ['Primary certificate', thumbprint(clientCertificates?.primary)],
    ['Secondary certificate', thumbprint(clientCertificates?.secondary)],
  ]
}
