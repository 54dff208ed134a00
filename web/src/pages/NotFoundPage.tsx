import { Link } from '@tanstack/react-router'

import { paths } from '../paths'
import { Empty } from '../ui/States'

export function NotFoundPage() {
  return (
    <Empty title="There is no such page">
      <Link to={paths.devices}>To the devices</Link>
    </Empty>
  )
}
