/** What a deployment manifest says, as far as the console shows it. Pure. */

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/** The modules a manifest runs, the runtime's own left out. The outer `content` of exported manifests may be there or not. */
export function modulesOfManifest(manifest: unknown): string[] {
  const content = member(manifest, 'modulesContent') ?? member(member(manifest, 'content'), 'modulesContent')
  const desired = member(member(content, '$edgeAgent'), 'properties.desired')
  const modules = member(desired, 'modules')
  return typeof modules === 'object' && modules !== null ? Object.keys(modules) : []
}
