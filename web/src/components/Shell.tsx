import { useSuspenseQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate } from '@tanstack/react-router'

import { api } from '../api/client'
import { sessionQuery } from '../api/queries'
import { paths } from '../paths'
import { setTheme, useTheme, type Theme } from '../theme'
import { Button } from '../ui/Button'
import { Icon } from '../ui/Icon'
import styles from './Shell.module.css'

const PLACES = [
  { to: paths.devices, icon: 'devices', label: 'Devices' },
  { to: paths.templates, icon: 'template', label: 'Templates' },
  { to: paths.manifests, icon: 'manifest', label: 'Manifests' },
  { to: paths.connect, icon: 'connect', label: 'Connect' },
] as const

/** What belongs to the installation and not to the application; for those who run it. */
const SYSTEM_PLACES = [{ to: paths.health, icon: 'health', label: 'Health' }] as const

const THEMES: { theme: Theme; label: string }[] = [
  { theme: 'system', label: 'Auto' },
  { theme: 'light', label: 'Light' },
  { theme: 'dark', label: 'Dark' },
]

/** What surrounds every page: the places, who is signed in, the colour scheme. */
export function Shell() {
  const { data: session } = useSuspenseQuery(sessionQuery)
  const places = session.permissions.includes('installation.view') ? [...PLACES, ...SYSTEM_PLACES] : PLACES
  return (
    <div className={styles.shell}>
      <a className={styles.skip} href="#main">
        Skip to content
      </a>
      <aside className={styles.side}>
        <Link to={paths.devices} className={styles.brand ?? ''}>
          <Icon name="gate" size={22} />
          Tidegate
        </Link>
        <nav className={styles.nav} aria-label="Places">
          {places.map((place) => (
            <Link key={place.to} to={place.to}>
              <Icon name={place.icon} />
              {place.label}
            </Link>
          ))}
        </nav>
        <footer className={styles.foot}>
          <div className={styles.user} title={session.user.email}>
            {session.user.email}
          </div>
          <ThemeChoice />
          <SignOut />
        </footer>
      </aside>
      <main id="main" className={styles.main}>
        <Outlet />
      </main>
    </div>
  )
}

function ThemeChoice() {
  const current = useTheme()
  return (
    <div className={styles.themes} role="group" aria-label="Colour scheme">
      {THEMES.map(({ theme, label }) => (
        <button
          key={theme}
          type="button"
          aria-pressed={current === theme}
          onClick={() => {
            setTheme(theme)
          }}
        >
          {label}
        </button>
      ))}
    </div>
  )
}

function SignOut() {
  const navigate = useNavigate()
  const queryClient = useQueryClient()
  return (
    <Button
      look="quiet"
      onPress={() => {
        void api.DELETE('/api/ext/v1/session').then(() => {
          queryClient.clear()
          return navigate({ to: paths.signIn })
        })
      }}
    >
      Sign out
    </Button>
  )
}
