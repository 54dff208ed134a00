import type { Schemas } from './client'

/** A call the server refused, in words for a person. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly requestId: string | undefined
  /** Where in the sent document something was wrong, if the server said so. */
  readonly context: { dataPath: string; message: string }[]

  constructor(status: number, body: unknown) {
    const details = (body as Schemas['Error'] | undefined)?.error
    super(details ? firstSentence(details.message) : wordsFor(status))
    this.name = 'ApiError'
    this.status = status
    this.code = details?.code ?? String(status)
    this.requestId = details?.requestId ?? undefined
    this.context = details?.innerError?.context ?? []
  }
}

function wordsFor(status: number): string {
  if (status === 401) return 'You are not signed in.'
  if (status === 403) return 'Your role does not allow this.'
  if (status === 404) return 'There is nothing here.'
  if (status === 0) return 'Tidegate cannot be reached. Is it running?'
  return `The server answered ${String(status)}.`
}

/** The published error format ends with support boilerplate; what happened stands before it. */
function firstSentence(message: string): string {
  return message.split(' You can contact support')[0] ?? message
}

interface Result<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The data of a call, or its [`ApiError`] thrown. */
export async function unwrap<T>(call: Promise<Result<T>>): Promise<NonNullable<T>> {
  let result: Result<T>
  try {
    result = await call
  } catch {
    throw new ApiError(0, undefined)
  }
  if (!result.response.ok) throw new ApiError(result.response.status, result.error)
  return (result.data ?? undefined) as NonNullable<T>
}

/** What the server found wrong with one member of the sent document. */
export function problemWith(error: unknown, member: string): string | undefined {
  if (!(error instanceof ApiError)) return undefined
  const at = error.context.find(({ dataPath }) => dataPath.split(/[/.]/).includes(member))
  return at?.message
}

/** A failure in words for a person. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : 'This failed.'
}
