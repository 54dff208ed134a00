import { useId } from 'react'

import { TextArea } from '../ui/Field'
import styles from './DocumentField.module.css'

/** A file larger than this is no manifest and no template. */
const FILE_BYTES_MAX = 4 * 1024 * 1024

interface Props {
  label: string
  text: string
  problem?: string | undefined
  onChange: (text: string, fileName?: string) => void
}

/** A JSON document, pasted or chosen as a file. */
export function DocumentField({ label, text, problem, onChange }: Props) {
  const id = useId()
  const read = async (file: File) => {
    onChange(file.size > FILE_BYTES_MAX ? '' : await file.text(), file.name)
  }
  return (
    <div className={styles.document}>
      <label htmlFor={id}>Choose a file</label>
      <input
        id={id}
        type="file"
        accept=".json,application/json"
        onChange={(event) => {
          const file = event.target.files?.[0]
          if (file) void read(file)
        }}
      />
      <TextArea label={label} rows={12} value={text} problem={problem} onChange={(value) => { onChange(value) }} />
    </div>
  )
}
