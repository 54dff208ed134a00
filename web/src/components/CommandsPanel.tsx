import { useState } from 'react'

import { CommandForm } from '../forms/CommandForm'
import type { Scope } from '../template'
import { Card } from '../ui/Card'
import { Empty, Notice } from '../ui/States'
import { CommandRuns, type Run } from './CommandRuns'

/** Runs this page remembers. */
const RUNS_MAX = 50

interface Props {
  deviceId: string
  scopes: Scope[]
  connected: boolean
}

/** What a device can be told to do: a form a command, and what came of those run from this page. */
export function CommandsPanel({ deviceId, scopes, connected }: Props) {
  const [runs, setRuns] = useState<Run[]>([])
  const record = (run: Run) => {
    setRuns((before) => [run, ...before.filter((other) => other.id !== run.id)].slice(0, RUNS_MAX))
  }
  const shown = scopes.filter((scope) => scope.commands.length > 0)
  if (shown.length === 0) {
    return (
      <Card title="Commands">
        <Empty title="No commands">The template of this device describes none. A template that does gets a form for each here.</Empty>
      </Card>
    )
  }
  return (
    <>
      {connected ? null : <Notice>The device is not connected, so a command cannot reach it now.</Notice>}
      {shown.flatMap((scope) =>
        scope.commands.map((command) => (
          <CommandForm
            key={`${scope.module ?? ''}/${scope.component ?? ''}/${command.name}`}
            place={{ deviceId, module: scope.module, component: scope.component }}
            source={scope.label}
            command={command}
            onRun={record}
          />
        )),
      )}
      <CommandRuns runs={runs} />
    </>
  )
}
