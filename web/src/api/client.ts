import createClient, { type Middleware } from 'openapi-fetch'

import type { components, paths } from './__generated__/central'

export type Schemas = components['schemas']

/** The version of the IoT Central API this console speaks: the `query` of every call to it. */
export const version = { 'api-version': '2022-10-31-preview' } as const

/** The mark of every write: it comes from this console and not from a foreign page. */
const carry: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET') request.headers.set('X-Tidegate-Csrf', '1')
    return request
  },
}

/** The REST API, typed by its OpenAPI document. The console uses nothing else. */
export const api = createClient<paths>({ baseUrl: '/', credentials: 'same-origin' })
api.use(carry)
