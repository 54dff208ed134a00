import { useState } from 'react'

import { Button } from './Button'
import { CopyButton } from './CopyButton'
import styles from './Secret.module.css'

/** A key: hidden until asked for, copied without being shown. */
export function Secret({ label, value }: { label: string; value: string }) {
  const [shown, setShown] = useState(false)
  return (
    <div className={styles.secret}>
      <code className={styles.value}>{shown ? value : '•'.repeat(16)}</code>
      <Button
        look="quiet"
        aria-label={`${shown ? 'Hide' : 'Show'} ${label}`}
        onPress={() => {
          setShown(!shown)
        }}
      >
        {shown ? 'Hide' : 'Show'}
      </Button>
      <CopyButton text={value} label={`Copy ${label}`} />
    </div>
  )
}
