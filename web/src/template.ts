/** What a device template says a device can do, read from its DTDL. Pure: no fetching, no components. */

export interface Schema {
  kind: 'boolean' | 'integer' | 'number' | 'string' | 'date' | 'time' | 'dateTime' | 'duration' | 'enum' | 'object' | 'map' | 'array' | 'geopoint' | 'vector' | 'unknown'
  /** Members of an object. */
  fields?: Capability[]
  /** Values of an enum. */
  options?: { label: string; value: string | number }[]
}

export interface Capability {
  name: string
  label: string
  description?: string
  unit?: string
  schema: Schema
}

export interface Property extends Capability {
  writable: boolean
  cloud: boolean
}

export interface Command {
  name: string
  label: string
  description?: string
  request?: Capability
  response?: Capability
}

/** A place capabilities hang on: the device itself, a component, a module, or a component of a module. */
export interface Scope {
  module?: string
  component?: string
  label: string
  telemetry: Capability[]
  properties: Property[]
  commands: Command[]
}

type Json = Record<string, unknown>

const PRIMITIVES: Record<string, Schema['kind']> = {
  boolean: 'boolean', integer: 'integer', long: 'integer', float: 'number', double: 'number', string: 'string',
  date: 'date', time: 'time', dateTime: 'dateTime', duration: 'duration', geopoint: 'geopoint', vector: 'vector',
}

const UNITS: Record<string, string> = {
  degreeCelsius: '°C', degreeFahrenheit: '°F', kelvin: 'K', percent: '%', metre: 'm', bar: 'bar', kilopascal: 'kPa', pascal: 'Pa',
  metrePerSecond: 'm/s', volt: 'V', ampere: 'A', watt: 'W', kilowatt: 'kW', second: 's', millisecond: 'ms', hertz: 'Hz',
}

function record(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(record).filter((item) => item !== undefined) : []
}

function types(element: Json): string[] {
  const type = element['@type']
  return Array.isArray(type) ? type.filter((item): item is string => typeof item === 'string') : typeof type === 'string' ? [type] : []
}

/** A text that may be a map from language to text. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  const map = record(value)
  const chosen = map?.['en'] ?? (map ? Object.values(map)[0] : undefined)
  return typeof chosen === 'string' ? chosen : undefined
}

export function schemaOf(value: unknown): Schema {
  if (typeof value === 'string') return { kind: PRIMITIVES[value] ?? 'unknown' }
  const schema = record(value)
  if (!schema) return { kind: 'unknown' }
  const [type] = types(schema)
  if (type === 'Enum') {
    const options = list(schema['enumValues']).map((item) => ({
      label: textOf(item['displayName']) ?? String(item['name']),
      value: item['enumValue'] as string | number,
    }))
    return { kind: 'enum', options }
  }
  if (type === 'Object') return { kind: 'object', fields: list(schema['fields']).map(capabilityOf) }
  if (type === 'Map') return { kind: 'map' }
  if (type === 'Array') return { kind: 'array' }
  return { kind: 'unknown' }
}

function capabilityOf(element: Json): Capability {
  const description = textOf(element['description'])
  const rawUnit = element['displayUnit'] ?? element['unit']
  const unit = typeof rawUnit === 'string' ? (UNITS[rawUnit] ?? rawUnit) : undefined
  return {
    name: String(element['name']),
    label: textOf(element['displayName']) ?? String(element['name']),
    ...(description ? { description } : {}),
    ...(unit ? { unit } : {}),
    schema: schemaOf(element['schema']),
  }
}

function commandOf(element: Json): Command {
  const { name, label, description } = capabilityOf(element)
  const request = record(element['request'])
  const response = record(element['response'])
  return {
    name,
    label,
    ...(description ? { description } : {}),
    ...(request ? { request: capabilityOf(request) } : {}),
    ...(response ? { response: capabilityOf(response) } : {}),
  }
}

/** The contents of an interface and of all it inherits. */
function contentsOf(face: Json, depth = 0): Json[] {
  const inherited = depth < 10 ? list(face['extends']).flatMap((base) => contentsOf(base, depth + 1)) : []
  return [...list(face['contents']), ...inherited]
}

function scopesOf(face: Json, place: { module?: string; component?: string; label: string }): Scope[] {
  const scope: Scope = { ...place, telemetry: [], properties: [], commands: [] }
  const nested: Scope[] = []
  for (const element of contentsOf(face)) {
    const kinds = types(element)
    const name = String(element['name'])
    const label = textOf(element['displayName']) ?? name
    const target = record(element['target']) ?? list(element['target'])[0]
    const inner = record(element['schema'])
    if (kinds.includes('Telemetry')) scope.telemetry.push(capabilityOf(element))
    else if (kinds.includes('Property')) {
      scope.properties.push({
        ...capabilityOf(element),
        writable: element['writable'] === true,
        cloud: kinds.includes('Cloud'),
      })
    } else if (kinds.includes('Command')) scope.commands.push(commandOf(element))
    else if (kinds.includes('EdgeModule') && target) nested.push(...scopesOf(target, { module: name, label }))
    else if (kinds.includes('Component') && inner) {
      nested.push(...scopesOf(inner, { ...(place.module ? { module: place.module } : {}), component: name, label }))
    }
  }
  return [scope, ...nested]
}

/** Every scope of a template, the device itself first; scopes without any capability are left out. */
export function scopesOfTemplate(template: { capabilityModel?: unknown }): Scope[] {
  const model = record(template.capabilityModel)
  if (!model) return []
  return scopesOf(model, { label: 'Device' }).filter(
    (scope) => scope.telemetry.length + scope.properties.length + scope.commands.length > 0,
  )
}

/** A schema in a few words, such as `integer` or `object of lat (number), lon (number)`. */
export function schemaText(schema: Schema): string {
  if (schema.kind === 'object') return `object of ${(schema.fields ?? []).map((field) => `${field.name} (${schemaText(field.schema)})`).join(', ')}`
  if (schema.kind === 'enum') return `one of ${(schema.options ?? []).map((option) => option.label).join(', ')}`
  return schema.kind === 'unknown' ? 'anything' : schema.kind
}

/** Something that can be drawn over time: a numeric telemetry, or a numeric field inside an object telemetry. */
export interface ChartSeries {
  /** Name in the series API: `module.component.name.field`, absent parts left out. */
  key: string
  module?: string
  component?: string
  /** Path inside the message body. */
  path: string[]
  label: string
  unit?: string
}

const NUMERIC = new Set<Schema['kind']>(['integer', 'number'])

export function chartSeriesOf(scope: Scope): ChartSeries[] {
  const found: ChartSeries[] = []
  const visit = (capability: Capability, path: string[], labels: string[]) => {
    const here = [...path, capability.name]
    if (NUMERIC.has(capability.schema.kind)) {
      found.push({
        key: [scope.module, scope.component, ...here].filter((part) => part !== undefined).join('.'),
        ...(scope.module ? { module: scope.module } : {}),
        ...(scope.component ? { component: scope.component } : {}),
        path: here,
        label: labels.length > 0 && !capability.label.toLowerCase().startsWith((labels[0] ?? '').toLowerCase()) ? [...labels, capability.label].join(' ') : capability.label,
        ...(capability.unit ? { unit: capability.unit } : {}),
      })
    }
    for (const field of capability.schema.fields ?? []) visit(field, here, [...labels, capability.label])
  }
  for (const telemetry of scope.telemetry) visit(telemetry, [], [])
  return found
}
