import { Link, useNavigate, useSearch } from '@tanstack/react-router'

import { paths } from '../paths'
import { WINDOWS, windowOf, type Window } from '../series'
import { chartSeriesOf, type ChartSeries, type Scope } from '../template'
import { Card } from '../ui/Card'
import { Choice } from '../ui/Choice'
import { Empty } from '../ui/States'
import { LatestValues } from './LatestValues'
import { LiveChart } from './LiveChart'
import { LoadFailure } from './LoadFailure'
import styles from './TelemetryPanel.module.css'
import { useTelemetry } from './useTelemetry'

/** Charts shown before a person has chosen; more are one click away. */
const CHARTS_AT_FIRST = 4
const LEAD_HEIGHT = 280
const SMALL_HEIGHT = 150

/** What a device measures: charts of the numbers, then the latest value of everything. Window and choice are in the address. */
export function TelemetryPanel({ deviceId, scopes }: { deviceId: string; scopes: Scope[] }) {
  const all = scopes.flatMap(chartSeriesOf)
  const search = useSearch({ from: '/signed-in/devices/$deviceId' })
  const navigate = useNavigate({ from: paths.device })
  const window = windowOf(search.window)
  const asked = search.series?.split(',') ?? []
  const found = all.filter((item) => asked.includes(item.key))
  const shown = found.length > 0 ? found : all.slice(0, CHARTS_AT_FIRST)

  if (scopes.every((scope) => scope.telemetry.length === 0)) return <NothingMeasured />
  const toggle = (key: string) => {
    const keys = all.map((item) => item.key).filter((other) => shown.some((item) => item.key === other) !== (other === key))
    void navigate({ search: (before) => ({ ...before, series: keys.join(',') || undefined }), replace: true, resetScroll: false })
  }
  return (
    <>
      {all.length > 0 ? (
        <section aria-label="Charts" className={styles.panel}>
          <div className={styles.bar}>
            <Choice
              label="Series"
              options={all.map((item) => ({ value: item.key, label: item.label }))}
              chosen={shown.map((item) => item.key)}
              onToggle={toggle}
            />
            <Choice
              label="Time shown"
              options={WINDOWS.map((item) => ({ value: item.id, label: item.label }))}
              chosen={[window.id] as (typeof WINDOWS)[number]['id'][]}
              onToggle={(id) => {
                void navigate({ search: (before) => ({ ...before, window: id }), replace: true, resetScroll: false })
              }}
            />
          </div>
          <Charts deviceId={deviceId} series={shown} window={window} />
        </section>
      ) : null}
      <LatestValues deviceId={deviceId} scopes={scopes} />
    </>
  )
}

function Charts({ deviceId, series, window }: { deviceId: string; series: ChartSeries[]; window: Window }) {
  const { lines, error } = useTelemetry(deviceId, series, window)
  return (
    <>
      {error ? <LoadFailure error={error} /> : null}
      <div className={styles.charts}>
        {lines.map((line, index) => (
          <LiveChart
            key={line.key}
            label={line.label}
            source={[line.module, line.component].filter((part) => part !== undefined).join(' · ') || undefined}
            unit={line.unit}
            points={line.points}
            windowSecs={window.secs}
            height={index === 0 ? LEAD_HEIGHT : SMALL_HEIGHT}
          />
        ))}
      </div>
    </>
  )
}

function NothingMeasured() {
  return (
    <Card title="Telemetry">
      <Empty title="Nothing to draw yet">
        The template of this device describes no telemetry. Give the device a template that does, and its charts appear here; what it sends meanwhile
        is under <Link to={paths.device} from={paths.device} search={{ tab: 'messages' }}>Raw data</Link>.
      </Empty>
    </Card>
  )
}
