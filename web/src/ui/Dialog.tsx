import { useState, type ReactNode } from 'react'
import { Dialog as AriaDialog, Heading, Modal, ModalOverlay } from 'react-aria-components'

import { wordsOf } from '../api/errors'
import { Button } from './Button'
import { classes } from './classes'
import styles from './Dialog.module.css'
import { ErrorBox } from './States'

interface Props {
  title: string
  wide?: boolean
  onClose: () => void
  children: ReactNode
}

/** A question or a form above the page; Escape and the backdrop close it. */
export function Dialog({ title, wide = false, onClose, children }: Props) {
  return (
    <ModalOverlay
      className={styles.backdrop ?? ''}
      isOpen
      isDismissable
      onOpenChange={(open) => {
        if (!open) onClose()
      }}
    >
      <Modal className={classes(styles.modal, wide && styles.wide)}>
        <AriaDialog className={styles.dialog ?? ''}>
          <Heading slot="title" className={styles.title ?? ''}>
            {title}
          </Heading>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  )
}

export function DialogActions({ children }: { children: ReactNode }) {
  return <div className={styles.actions}>{children}</div>
}

interface ConfirmProps {
  title: string
  /** What the button does, such as `Delete`. */
  action: string
  danger?: boolean
  onClose: () => void
  onConfirm: () => Promise<unknown>
  children: ReactNode
}

/** Asks before something that cannot be taken back; an error stays in the dialog. */
export function ConfirmDialog({ title, action, danger = false, onClose, onConfirm, children }: ConfirmProps) {
  const [error, setError] = useState<string>()
  const [busy, setBusy] = useState(false)
  const confirm = async () => {
    setBusy(true)
    setError(undefined)
    try {
      await onConfirm()
      onClose()
    } catch (problem) {
      setError(wordsOf(problem))
      setBusy(false)
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <div>{children}</div>
      {error ? <ErrorBox message={error} /> : null}
      <DialogActions>
        <Button onPress={onClose}>Cancel</Button>
        <Button look={danger ? 'danger' : 'primary'} isDisabled={busy} onPress={() => void confirm()}>
          {action}
        </Button>
      </DialogActions>
    </Dialog>
  )
}
