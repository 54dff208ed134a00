import type { QueryClient } from '@tanstack/react-query'
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from '@tanstack/react-router'

import { ApiError } from './api/errors'
import { sessionQuery } from './api/queries'
import { Shell } from './components/Shell'
import { DevicesPage } from './pages/DevicesPage'
import { FailurePage } from './pages/FailurePage'
import { NotFoundPage } from './pages/NotFoundPage'
import { SignInPage } from './pages/SignInPage'
import { paths } from './paths'

interface Context {
  queryClient: QueryClient
}

const rootRoute = createRootRouteWithContext<Context>()({
  component: Outlet,
  notFoundComponent: NotFoundPage,
  errorComponent: ({ error }) => <FailurePage error={error} />,
})

const signIn = createRoute({ getParentRoute: () => rootRoute, path: paths.signIn, component: SignInPage })

/** Everything that needs a session; without one, to the sign-in page. */
const signedIn = createRoute({
  getParentRoute: () => rootRoute,
  id: 'signed-in',
  component: Shell,
  beforeLoad: async ({ context }) => {
    try {
      await context.queryClient.query({ ...sessionQuery, staleTime: 'static' })
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- the router's way to redirect
        throw redirect({ to: paths.signIn })
      }
      throw error
    }
  },
})

const home = createRoute({
  getParentRoute: () => signedIn,
  path: '/',
  beforeLoad: () => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the router's way to redirect
    throw redirect({ to: paths.devices })
  },
})

/** A text of the address, if it is there. */
function kept<Name extends string>(name: Name, search: Record<string, unknown>): { [_ in Name]?: string | undefined } {
  const value = search[name]
  return typeof value === 'string' && value !== '' ? ({ [name]: value } as Record<Name, string>) : {}
}

const devices = createRoute({
  getParentRoute: () => signedIn,
  path: paths.devices,
  component: DevicesPage,
  validateSearch: (search: Record<string, unknown>) => ({
    ...kept('search', search),
    ...kept('template', search),
  }),
})

const device = createRoute({
  getParentRoute: () => signedIn,
  path: paths.device,
  component: lazyRouteComponent(() => import('./pages/DevicePage'), 'DevicePage'),
  validateSearch: (search: Record<string, unknown>) => ({
    ...kept('tab', search),
    ...kept('window', search),
    ...kept('series', search),
    ...kept('module', search),
  }),
})

const templates = createRoute({ getParentRoute: () => signedIn, path: paths.templates, component: lazyRouteComponent(() => import('./pages/TemplatesPage'), 'TemplatesPage') })
const template = createRoute({ getParentRoute: () => signedIn, path: paths.template, component: lazyRouteComponent(() => import('./pages/TemplatePage'), 'TemplatePage') })
const manifests = createRoute({
  getParentRoute: () => signedIn,
  path: paths.manifests,
  component: lazyRouteComponent(() => import('./pages/ManifestsPage'), 'ManifestsPage'),
  validateSearch: (search: Record<string, unknown>) => kept('manifest', search),
})
const connect = createRoute({ getParentRoute: () => signedIn, path: paths.connect, component: lazyRouteComponent(() => import('./pages/ConnectPage'), 'ConnectPage') })
const health = createRoute({ getParentRoute: () => signedIn, path: paths.health, component: lazyRouteComponent(() => import('./pages/HealthPage'), 'HealthPage') })

const tree = rootRoute.addChildren([
  signIn,
  signedIn.addChildren([home, devices, device, templates, template, manifests, connect, health]),
])

export function createConsoleRouter(queryClient: QueryClient) {
  return createRouter({ routeTree: tree, context: { queryClient }, defaultPreload: 'intent' })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createConsoleRouter>
  }
}
