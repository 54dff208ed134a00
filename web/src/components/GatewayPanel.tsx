import { Link } from '@tanstack/react-router'

import type { Schemas } from '../api/client'
import { paths } from '../paths'
import { Card } from '../ui/Card'
import { Table } from '../ui/Table'
import { DeviceStatusBadge } from './deviceStatus'

/** The gateway relationship, seen from either end; nothing for a device that has none. */
export function GatewayPanel({ device }: { device: Schemas['FleetDeviceDetails'] }) {
  if (device.gateway) {
    return (
      <Card title="Gateway">
        Connects through <Link to={paths.device} params={{ deviceId: device.gateway }}>{device.gateway}</Link>.
      </Card>
    )
  }
  if (device.children.length === 0) return null
  return (
    <Card title="Downstream devices" hint="They connect through this gateway with identities of their own." flush>
      <Table
        label="Downstream devices"
        rowKey={(child) => child.id}
        rows={device.children}
        columns={[
          {
            heading: 'Device',
            cell: (child) => <Link to={paths.device} params={{ deviceId: child.id }}>{child.displayName}</Link>,
          },
          { heading: 'Id', cell: (child) => <code>{child.id}</code> },
          { heading: 'Status', cell: (child) => <DeviceStatusBadge status={child.status} /> },
        ]}
      />
    </Card>
  )
}
