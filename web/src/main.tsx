import './ui/theme.css'

import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'

import { ApiError } from './api/errors'
import { paths } from './paths'
import { createConsoleRouter } from './routes'
import { applyTheme } from './theme'

applyTheme()

const queryClient = new QueryClient({
  queryCache: new QueryCache({
    // A session that ended while a page was open.
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401 && location.pathname !== paths.signIn) void router.navigate({ to: paths.signIn })
    },
  }),
  defaultOptions: {
    queries: {
      // What the server refused stays refused; only a server that did not answer is asked again.
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status > 0 && error.status < 500),
      refetchOnWindowFocus: true,
      staleTime: 2_000,
    },
  },
})

const router = createConsoleRouter(queryClient)
const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  )
}
