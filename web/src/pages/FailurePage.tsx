import { ApiError } from '../api/errors'
import { Button } from '../ui/Button'
import { ErrorBox } from '../ui/States'

/** Something no page expected. */
export function FailurePage({ error }: { error: unknown }) {
  const known = error instanceof ApiError
  return (
    <main style={{ padding: '2rem', display: 'grid', gap: '1rem', justifyItems: 'start' }}>
      <ErrorBox
        message={known ? error.message : 'This page failed.'}
        detail={known && error.requestId ? `Request ${error.requestId}` : error instanceof Error && !known ? error.message : undefined}
      />
      <Button
        onPress={() => {
          location.reload()
        }}
      >
        Try again
      </Button>
    </main>
  )
}
