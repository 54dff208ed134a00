/** Properties and commands of a device, a component, a module, or a component of a module: one call each for the four places. */

import { queryOptions } from '@tanstack/react-query'

import type { Capability } from '../template'
import { api, version, type Schemas } from './client'
import { ApiError, unwrap } from './errors'

export interface Place {
  deviceId: string
  module?: string | undefined
  component?: string | undefined
}

const query = version

export function getProperties({ deviceId, module, component }: Place): Promise<Schemas['DeviceProperties']> {
  if (module !== undefined && component !== undefined) {
    const path = { deviceId, moduleName: module, componentName: component }
    return unwrap(api.GET('/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/properties', { params: { path, query } }))
  }
  if (module !== undefined) {
    return unwrap(api.GET('/api/devices/{deviceId}/modules/{moduleName}/properties', { params: { path: { deviceId, moduleName: module }, query } }))
  }
  if (component !== undefined) {
    return unwrap(api.GET('/api/devices/{deviceId}/components/{componentName}/properties', { params: { path: { deviceId, componentName: component }, query } }))
  }
  return unwrap(api.GET('/api/devices/{deviceId}/properties', { params: { path: { deviceId }, query } }))
}

export function patchProperties({ deviceId, module, component }: Place, body: Schemas['MergePatch']): Promise<Schemas['DeviceProperties']> {
  if (module !== undefined && component !== undefined) {
    const path = { deviceId, moduleName: module, componentName: component }
    return unwrap(api.PATCH('/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/properties', { params: { path, query }, body }))
  }
  if (module !== undefined) {
    return unwrap(api.PATCH('/api/devices/{deviceId}/modules/{moduleName}/properties', { params: { path: { deviceId, moduleName: module }, query }, body }))
  }
  if (component !== undefined) {
    return unwrap(api.PATCH('/api/devices/{deviceId}/components/{componentName}/properties', { params: { path: { deviceId, componentName: component }, query }, body }))
  }
  return unwrap(api.PATCH('/api/devices/{deviceId}/properties', { params: { path: { deviceId }, query }, body }))
}

export function runCommand({ deviceId, module, component }: Place, commandName: string, body: Schemas['DeviceCommand']): Promise<Schemas['DeviceCommand']> {
  if (module !== undefined && component !== undefined) {
    const path = { deviceId, moduleName: module, componentName: component, commandName }
    return unwrap(api.POST('/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/commands/{commandName}', { params: { path, query }, body }))
  }
  if (module !== undefined) {
    const path = { deviceId, moduleName: module, commandName }
    return unwrap(api.POST('/api/devices/{deviceId}/modules/{moduleName}/commands/{commandName}', { params: { path, query }, body }))
  }
  if (component !== undefined) {
    const path = { deviceId, componentName: component, commandName }
    return unwrap(api.POST('/api/devices/{deviceId}/components/{componentName}/commands/{commandName}', { params: { path, query }, body }))
  }
  return unwrap(api.POST('/api/devices/{deviceId}/commands/{commandName}', { params: { path: { deviceId, commandName }, query }, body }))
}

export const propertiesQuery = (place: Place) =>
  queryOptions({ queryKey: ['properties', place.deviceId, place.module, place.component], queryFn: () => getProperties(place) })

/** Where a writable property stands between what was asked for and what the device said. */
export interface PropertyState {
  reported: unknown
  desired: unknown
  progress: 'unset' | 'reported' | 'pending' | 'accepted' | 'working' | 'refused'
  note?: string
  time?: string
  /** Version of the desired value. */
  version?: number
}

interface Metadata {
  desiredValue?: unknown
  desiredVersion?: number
  ackVersion?: number
  ackCode?: number
  ackDescription?: string
  lastUpdateTime?: string
}

export function stateOf(properties: Record<string, unknown>, name: string): PropertyState {
  const all = (properties['$metadata'] ?? {}) as Record<string, Metadata | undefined>
  const metadata = all[name] ?? {}
  const state: PropertyState = {
    reported: properties[name],
    desired: metadata.desiredValue,
    progress: progressOf(metadata, properties[name]),
    ...(metadata.ackDescription ? { note: metadata.ackDescription } : {}),
    ...(metadata.desiredVersion === undefined ? {} : { version: metadata.desiredVersion }),
    ...(metadata.lastUpdateTime ? { time: metadata.lastUpdateTime } : {}),
  }
  return state
}

function progressOf(metadata: Metadata, reported: unknown): PropertyState['progress'] {
  if (metadata.desiredVersion === undefined) return reported === undefined ? 'unset' : 'reported'
  const answered = metadata.ackVersion !== undefined && metadata.ackVersion >= metadata.desiredVersion
  if (!answered) return 'pending'
  const code = metadata.ackCode ?? 200
  if (code === 202) return 'working'
  return code >= 200 && code < 300 ? 'accepted' : 'refused'
}

/** One telemetry of a place. */
export interface Telemetry extends Place {
  capability: Capability
}

function getLatest({ deviceId, module, component, capability }: Telemetry): Promise<Schemas['DeviceTelemetry']> {
  const telemetryName = capability.name
  if (module !== undefined && component !== undefined) {
    const path = { deviceId, moduleName: module, componentName: component, telemetryName }
    return unwrap(api.GET('/api/devices/{deviceId}/modules/{moduleName}/components/{componentName}/telemetry/{telemetryName}', { params: { path, query } }))
  }
  if (module !== undefined) {
    const path = { deviceId, moduleName: module, telemetryName }
    return unwrap(api.GET('/api/devices/{deviceId}/modules/{moduleName}/telemetry/{telemetryName}', { params: { path, query } }))
  }
  if (component !== undefined) {
    const path = { deviceId, componentName: component, telemetryName }
    return unwrap(api.GET('/api/devices/{deviceId}/components/{componentName}/telemetry/{telemetryName}', { params: { path, query } }))
  }
  return unwrap(api.GET('/api/devices/{deviceId}/telemetry/{telemetryName}', { params: { path: { deviceId, telemetryName }, query } }))
}

/** Values read for one page; a template with more shows the others as they come. */
const LATEST_READ_MAX = 30

/** The latest stored values, by `module/component/name`. A telemetry nobody sent yet is not among them. */
export const latestQuery = (deviceId: string, telemetry: Telemetry[]) =>
  queryOptions({
    queryKey: ['latest', deviceId, telemetry.map(({ module, component, capability }) => [module, component, capability.name])],
    queryFn: async () => {
      const read = telemetry.slice(0, LATEST_READ_MAX).map(async (one) => {
        const key = [one.module ?? '', one.component ?? '', one.capability.name].join('/')
        return [key, await getLatest(one).catch(absent)] as const
      })
      return new Map(await Promise.all(read))
    },
  })

/** What was never sent is not found; everything else is a failure. */
function absent(error: unknown): Schemas['DeviceTelemetry'] {
  if (error instanceof ApiError && error.status === 404) return {}
  throw error
}
