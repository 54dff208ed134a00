import { useQuery } from '@tanstack/react-query'

import type { Schemas } from '../api/client'
import { sessionQuery } from '../api/queries'

/** Whether the person may do something. Only what is offered depends on it; what is allowed, the server decides. */
export function usePermission(permission: Schemas['Permission']): boolean {
  const session = useQuery(sessionQuery)
  return session.data?.permissions.includes(permission) ?? false
}
