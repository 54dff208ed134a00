import { useQuery } from '@tanstack/react-query'

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
  const { idScope, symmetricKey } = credentials.data
  return (
    <Card title="Connection" hint="What the device provisions itself with.">
      <Facts
        facts={[
          ['Registration id', <><code>{deviceId}</code> <CopyButton text={deviceId} label="Copy the registration id" /></>],
          ['Id scope', <><code>{idScope}</code> <CopyButton text={idScope} label="Copy the id scope" /></>],
          ['Provisioning endpoint', <code key="endpoint">{provisioning.data?.endpoint ?? '–'}</code>],
          ['Primary key', symmetricKey?.primaryKey ? <Secret label="primary key" value={symmetricKey.primaryKey} /> : 'none'],
          ['Secondary key', symmetricKey?.secondaryKey ? <Secret label="secondary key" value={symmetricKey.secondaryKey} /> : 'none'],
        ]}
      />
    </Card>
  )
}
