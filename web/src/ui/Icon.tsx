const SHAPES = {
  gate: 'M3 20V8a9 9 0 0 1 18 0v12M8 20v-9a4 4 0 0 1 8 0v9M3 14h5M16 14h5',
  devices: 'M4 5h16v10H4zM9 19h6M12 15v4',
  template: 'M5 3h14v18H5zM9 8h6M9 12h6M9 16h3',
  manifest: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9',
  connect: 'M9 15l6-6M10.5 6.5l1.8-1.8a4 4 0 0 1 5.7 5.7l-1.8 1.8M13.5 17.5l-1.8 1.8a4 4 0 0 1-5.7-5.7l1.8-1.8',
  edge: 'M4 6h16v5H4zM4 13h16v5H4zM7.5 8.5h.01M7.5 15.5h.01',
  module: 'M5 5h6v6H5zM13 5h6v6h-6zM5 13h6v6H5zM13 13h6v6h-6z',
  health: 'M3 12h4l2.5-6 4.5 12 2.5-6H21',
} as const

export type IconName = keyof typeof SHAPES

/** A line drawing beside a word; never alone, so it is hidden from screen readers. */
export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={SHAPES[name]} />
    </svg>
  )
}
