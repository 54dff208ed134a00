import { ApiError } from '../api/errors'
import { ErrorBox } from '../ui/States'

/** Why a part of a page has nothing to show. */
export function LoadFailure({ error }: { error: unknown }) {
  if (!(error instanceof ApiError)) return <ErrorBox message="This could not be loaded." />
  return <ErrorBox message={error.message} detail={error.requestId ? `Request ${error.requestId}` : undefined} />
}
