import { Button as AriaButton, type ButtonProps } from 'react-aria-components'

import { classes } from './classes'
import styles from './Button.module.css'

interface Props extends Omit<ButtonProps, 'className'> {
  look?: 'plain' | 'primary' | 'danger' | 'quiet'
}

/** The one button: 36 px high, keyboard and screen reader behaviour from React Aria. */
export function Button({ look = 'plain', type = 'button', ...props }: Props) {
  return <AriaButton {...props} type={type} className={classes(styles.button, look !== 'plain' && styles[look])} />
}
