import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'

import { api } from '../api/client'
import { ApiError, unwrap } from '../api/errors'
import { sessionQuery } from '../api/queries'
import { paths } from '../paths'
import { Button } from '../ui/Button'
import { Icon } from '../ui/Icon'
import { ErrorBox, Loading } from '../ui/States'
import styles from './SignInPage.module.css'

/** How an administrator makes a link; in lines that fit a phone. */
const COMMAND = `tidegate user create \\
  --data DIR \\
  --email you@example.com \\
  --role Administrator`

/** The one-time code of a sign-in link. It stands behind `#`, so that it never reaches a server log. */
function codeOfLink(): string | undefined {
  return new URLSearchParams(location.hash.slice(1)).get('code') ?? undefined
}

/** Trades the code of a one-time link for a session. */
export function SignInPage() {
  const navigate = useNavigate()
  const queryClient = useQueryClient()
  const [code] = useState(codeOfLink)
  const [problem, setProblem] = useState<ApiError>()
  const started = useRef(false)

  useEffect(() => {
    // A code works once: it is used once, also when React mounts twice.
    if (code === undefined || started.current) return
    started.current = true
    history.replaceState(null, '', location.pathname)
    unwrap(api.POST('/api/ext/v1/session', { body: { code } })).then(
      async () => {
        await queryClient.invalidateQueries({ queryKey: sessionQuery.queryKey })
        await navigate({ to: paths.devices })
      },
      (error: unknown) => {
        setProblem(error instanceof ApiError ? error : new ApiError(0, undefined))
      },
    )
  }, [code, navigate, queryClient])

  return (
    <main className={styles.page}>
      <div className={styles.box}>
        <div className={styles.brand}>
          <Icon name="gate" size={30} />
          <h1>Tidegate</h1>
        </div>
        {code !== undefined && !problem ? <Loading lines={2} label="Signing in" /> : <HowToSignIn problem={problem} />}
      </div>
    </main>
  )
}

function HowToSignIn({ problem }: { problem: ApiError | undefined }) {
  return (
    <>
      {problem ? <ErrorBox message={problem.message} detail="A sign-in link works once, and for a limited time." /> : null}
      <p>You sign in with a one-time link. An administrator of this installation makes one with:</p>
      <code className={styles.command}>{COMMAND}</code>
      <Button
        onPress={() => {
          location.assign('/')
        }}
      >
        I am signed in already
      </Button>
    </>
  )
}
