import 'uplot/dist/uPlot.min.css'

import { useEffect, useRef, useState } from 'react'
import UPlot from 'uplot'

import { lastOf, numberText, type Point } from '../series'
import { useTheme } from '../theme'
import styles from './LiveChart.module.css'
import { Ago } from './time'

interface Props {
  label: string
  /** Where it comes from, such as the module. */
  source?: string | undefined
  unit?: string | undefined
  points: Point[]
  /** Seconds shown, ending now. */
  windowSecs: number
  height: number
}

const LABEL_HALF_PX = 22
/** Steps of the time axis in seconds. Those in between what the library has let a narrow chart keep more than one label. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200]
/** Room between two values of the other axis. */
const VALUE_SPACE_PX = 30

/** One line over the last minutes, with its latest value; it moves as points arrive and as time passes. */
export function LiveChart({ label, source, unit, points, windowSecs, height }: Props) {
  const [hovered, setHovered] = useState<Point>()
  const last = lastOf(points)
  return (
    <figure className={styles.wrap} aria-label={`${label} over time`}>
      <figcaption className={styles.head}>
        <div className={styles.names}>
          <h3>{label}</h3>
          {source ? <div className={styles.source}>{source}</div> : null}
        </div>
        <div className={styles.reading}>
          <output className={styles.value} aria-live="off" aria-label={`${label}, latest value`}>
            {last ? numberText(last.value, unit) : '–'}
          </output>
          <div className={styles.source}>
            {hovered && hovered[1] !== null
              ? `${numberText(hovered[1], unit)} at ${new Date(hovered[0]).toLocaleTimeString()}`
              : last
                ? <Ago time={new Date(last.time).toISOString()} />
                : 'nothing in this window'}
          </div>
        </div>
      </figcaption>
      <Plot points={points} windowSecs={windowSecs} height={height} onHover={setHovered} />
    </figure>
  )
}

interface PlotProps {
  points: Point[]
  windowSecs: number
  height: number
  onHover: (point: Point | undefined) => void
}

function Plot({ points, windowSecs, height, onHover }: PlotProps) {
  const holder = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | undefined>(undefined)
  const theme = useTheme()

  useEffect(() => {
    const element = holder.current
    if (!element) return
    const chart = new UPlot(optionsFor(element, height, windowSecs, onHover), [[], []], element)
    plot.current = chart
    const resize = new ResizeObserver(() => {
      chart.setSize({ width: element.clientWidth, height })
    })
    resize.observe(element)
    // Time passes even when nothing arrives.
    const tick = setInterval(() => {
      chart.setScale('x', visible(windowSecs))
    }, 1000)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    const repaint = () => {
      chart.redraw(false, true)
    }
    scheme.addEventListener('change', repaint)
    return () => {
      clearInterval(tick)
      scheme.removeEventListener('change', repaint)
      resize.disconnect()
      chart.destroy()
      plot.current = undefined
    }
  }, [height, windowSecs, onHover])

  useEffect(() => {
    plot.current?.setData([points.map(([time]) => time / 1000), points.map(([, value]) => value)])
  }, [points, height, windowSecs])

  useEffect(() => {
    plot.current?.redraw(false, true)
  }, [theme])

  return <div ref={holder} className={styles.plot} style={{ height }} />
}

function visible(windowSecs: number): { min: number; max: number } {
  const now = Date.now() / 1000
  return { min: now - windowSecs, max: now }
}

function optionsFor(element: HTMLElement, height: number, windowSecs: number, onHover: PlotProps['onHover']): UPlot.Options {
  const colour = (name: string) => () => paint(element, name)
  const axis: UPlot.Axis = {
    stroke: colour('--text-soft'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `12px ${getComputedStyle(element).fontFamily}`,
  }
  return {
    width: element.clientWidth,
    height,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: 'telemetry' }, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: () => Object.values(visible(windowSecs)) as [number, number] },
      // A flat line stays in the middle instead of filling the height with its noise.
      y: { range: { min: { pad: 0.15, mode: 0 }, max: { pad: 0.15, mode: 0 } } },
    },
    axes: [
      { ...axis, size: 30, space: 76, incrs: TIME_STEPS, values: (chart, splits) => splits.map((secs) => (isCut(chart, secs) ? '' : clockText(secs, windowSecs))) },
      { ...axis, size: 48, space: VALUE_SPACE_PX },
    ],
    series: [{}, { stroke: colour('--chart-1'), fill: colour('--chart-fill'), width: 2, points: { size: 4 } }],
    hooks: {
      setCursor: [
        (chart) => {
          const at = chart.cursor.idx
          const time = at === null || at === undefined ? undefined : chart.data[0][at]
          onHover(time === undefined || at === null || at === undefined ? undefined : [time * 1000, chart.data[1]?.[at] ?? null])
        },
      ],
    },
  }
}

/** Whether the label at a time would be cut off by the right edge. */
function isCut(chart: UPlot, secs: number): boolean {
  return chart.valToPos(secs, 'x') > chart.bbox.width / devicePixelRatio - LABEL_HALF_PX
}

/** Time on the axis: seconds only where the window is short enough for them to matter. */
function clockText(secs: number, windowSecs: number): string {
  const seconds = windowSecs <= 600 ? { second: '2-digit' as const } : {}
  return new Date(secs * 1000).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false, ...seconds })
}

/** A canvas knows no `light-dark()`: the browser is asked for the colour that is on now. */
function paint(element: HTMLElement, name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${name})`
  element.append(probe)
  const colour = getComputedStyle(probe).color
  probe.remove()
  return colour
}
