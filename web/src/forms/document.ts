/** Documents a person brings along: templates and manifests as JSON. Pure. */

export type Document = Record<string, unknown>

/** The document of a text, or why it is none. Nothing typed yet is neither. */
export function parseDocument(text: string): { document?: Document; problem?: string } {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { document: value as Document }
    return { problem: 'A JSON object is needed.' }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : 'This is not JSON.' }
  }
}

/** A name for a person from the name of a file. */
export function titleOf(fileName: string): string {
  const words = fileName.replace(/(\.(deployment|template|amd64|arm32v7|arm64v8))*\.json$/i, '').replace(/[-_.]+/g, ' ').trim()
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** A word of a DTMI or an id from a name: letters and digits, a letter first. */
export function slugOf(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  const joined = words.map((word, index) => (index === 0 ? word.charAt(0).toLowerCase() : word.charAt(0).toUpperCase()) + word.slice(1)).join('')
  return /^[A-Za-z]/.test(joined) ? joined : `t${joined}`
}

export function templateIdOf(name: string): string {
  return `dtmi:modelDefinition:tidegate:${slugOf(name)};1`
}
