import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { test as base } from '@playwright/test'

const START_WITHIN_MS = 90_000
const LINK = /Sign in\s+(?<link>https:\/\/\S+)/

/** One `tidegate demo` in an empty folder, from its sign-in link to its end. */
export interface Demo {
  signInLink: string
  /** Ends one of its processes, named as on its command line, without a chance to say goodbye. The demo starts it again. */
  kill: (name: 'tidegate serve' | 'tidegate-edge run') => void
}

async function linkOf(program: ChildProcess): Promise<string> {
  const said: string[] = []
  if (!program.stdout) throw new Error('the demo has no output')
  for await (const line of createInterface({ input: program.stdout })) {
    said.push(line)
    const link = LINK.exec(line)?.groups?.['link']
    if (link !== undefined) return link
  }
  throw new Error(`the demo ended before it printed a sign-in link:\n${said.join('\n')}`)
}

async function stopped(program: ChildProcess): Promise<void> {
  if (program.exitCode !== null) return
  const ended = new Promise((resolve) => program.once('exit', resolve))
  program.kill('SIGINT')
  await ended
}

function kill(parent: ChildProcess, name: string): void {
  const found = execFileSync('pgrep', ['--parent', String(parent.pid), '--full', name], { encoding: 'utf8' })
  process.kill(Number(found.trim()), 'SIGKILL')
}

/** Every test has a demo of its own: a sign-in link works once. */
export const test = base.extend<{ demo: Demo }>({
  demo: [
    async ({}, use) => {
      const programs = process.env['TIDEGATE_PROGRAMS'] ?? join(import.meta.dirname, '../../../target/debug')
      const data = await mkdtemp(join(tmpdir(), 'tidegate-console-'))
      const program = spawn(join(programs, 'tidegate'), ['demo', '--data', data, '--https', '127.0.0.1:0', '--mqtts', '127.0.0.1:0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await use({
        signInLink: await linkOf(program),
        kill: (name) => {
          kill(program, name)
        },
      })
      await stopped(program)
      await rm(data, { recursive: true, force: true })
    },
    { timeout: START_WITHIN_MS },
  ],
})
