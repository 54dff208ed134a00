import { queryOptions } from '@tanstack/react-query'

import { api, version, type Schemas } from './client'
import { unwrap } from './errors'

/** What the API gives at the most on one page of a list. */
const LISTED_MAX = 100

export interface FleetSearch {
  search?: string | undefined
  template?: string | undefined
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: () => unwrap(api.GET('/api/ext/v1/session')),
  retry: false,
  staleTime: 60_000,
})

/** How the installation is. What it tells changes without an event, so it is asked for again. */
export const healthQuery = queryOptions({
  queryKey: ['health'],
  queryFn: () => unwrap(api.GET('/api/ext/v1/health')),
  refetchInterval: 5_000,
})

export const fleetQuery = (search: FleetSearch) =>
  queryOptions({
    queryKey: ['fleet', search],
    queryFn: () =>
      unwrap(
        api.GET('/api/ext/v1/devices', {
          params: {
            query: {
              pageSize: LISTED_MAX,
              ...(search.search ? { search: search.search } : {}),
              ...(search.template ? { template: search.template } : {}),
            },
          },
        }),
      ),
  })

export const deviceQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['device', deviceId],
    queryFn: () => unwrap(api.GET('/api/ext/v1/devices/{deviceId}', { params: { path: { deviceId } } })),
  })

export const edgeQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['edge', deviceId],
    queryFn: () => unwrap(api.GET('/api/ext/v1/devices/{deviceId}/edge', { params: { path: { deviceId } } })),
  })

export const templatesQuery = queryOptions({
  queryKey: ['templates'],
  queryFn: () => unwrap(api.GET('/api/deviceTemplates', { params: { query: { ...version, maxpagesize: LISTED_MAX } } })),
})

export const templateQuery = (deviceTemplateId: string) =>
  queryOptions({
    queryKey: ['template', deviceTemplateId],
    queryFn: () => unwrap(api.GET('/api/deviceTemplates/{deviceTemplateId}', { params: { path: { deviceTemplateId }, query: version } })),
  })

export const manifestsQuery = queryOptions({
  queryKey: ['manifests'],
  queryFn: () => unwrap(api.GET('/api/deploymentManifests', { params: { query: { ...version, maxpagesize: LISTED_MAX } } })),
})

export const provisioningQuery = queryOptions({
  queryKey: ['dps'],
  queryFn: () => unwrap(api.GET('/api/ext/v1/dps')),
})

export const enrollmentGroupsQuery = queryOptions({
  queryKey: ['enrollmentGroups'],
  queryFn: () => unwrap(api.GET('/api/enrollmentGroups', { params: { query: version } })),
})

export const credentialsQuery = (deviceId: string) =>
  queryOptions({
    queryKey: ['credentials', deviceId],
    queryFn: () => unwrap(api.GET('/api/devices/{deviceId}/credentials', { params: { path: { deviceId }, query: version } })),
  })

/** The edge devices a manifest can be applied to. */
export const edgeDevicesQuery = queryOptions({
  queryKey: ['fleet', 'edge'],
  queryFn: () => unwrap(api.GET('/api/ext/v1/devices', { params: { query: { filter: 'edge', pageSize: 200 } } })),
})

/** Points a chart has room for. */
const POINTS_MAX = 600

export const seriesQuery = (deviceId: string, names: string[], windowSecs: number) =>
  queryOptions({
    queryKey: ['series', deviceId, windowSecs, names],
    enabled: names.length > 0,
    queryFn: () => {
      const from = new Date(Date.now() - windowSecs * 1000).toISOString()
      return unwrap(
        api.GET('/api/ext/v1/devices/{deviceId}/series', {
          params: { path: { deviceId }, query: { name: names, from, points: POINTS_MAX } },
        }),
      )
    },
  })

const MESSAGES_READ = 100
/** Raw messages a page keeps. */
export const MESSAGES_KEPT_MAX = 200

/** The newest raw messages; those read before are kept behind them. */
export const messagesQuery = (deviceId: string, module: string | undefined) =>
  queryOptions({
    queryKey: ['messages', deviceId, module],
    queryFn: async ({ client, queryKey }) => {
      const page = await unwrap(
        api.GET('/api/ext/v1/devices/{deviceId}/messages', {
          params: { path: { deviceId }, query: { limit: MESSAGES_READ, ...(module ? { module } : {}) } },
        }),
      )
      const kept = client.getQueryData<Schemas['RawMessage'][]>(queryKey) ?? []
      const oldest = page.value.at(-1)?.offset ?? Infinity
      return [...page.value, ...kept.filter((message) => message.offset < oldest)].slice(0, MESSAGES_KEPT_MAX)
    },
  })
