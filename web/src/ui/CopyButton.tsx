import { useEffect, useState } from 'react'

import { Button } from './Button'

const SAID_FOR_MS = 2_000

/** Copies a text, and says that it did. */
export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [said, setSaid] = useState<string>()
  useEffect(() => {
    if (said === undefined) return
    const timer = setTimeout(() => {
      setSaid(undefined)
    }, SAID_FOR_MS)
    return () => {
      clearTimeout(timer)
    }
  }, [said])
  return (
    <Button
      look="quiet"
      aria-label={said ?? label}
      onPress={() => {
        navigator.clipboard.writeText(text).then(
          () => {
            setSaid('Copied')
          },
          () => {
            setSaid('Not allowed')
          },
        )
      }}
    >
      <span aria-live="polite">{said ?? 'Copy'}</span>
    </Button>
  )
}
