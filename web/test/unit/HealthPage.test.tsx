// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { cleanup, render, screen, within } from '@testing-library/react'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'

import { api, type Schemas } from '../../src/api/client'
import { healthQuery, sessionQuery } from '../../src/api/queries'
import { bytesText } from '../../src/bytes'
import { HealthPage, sentenceOf } from '../../src/pages/HealthPage'

type Health = Schemas['InstallationHealth']
type Reader = Schemas['ReaderHealth']

vi.mock('../../src/api/client', () => ({ api: { GET: vi.fn() } }))
const get = vi.mocked(api.GET)

/** A stream on which nothing happens. */
class SilentStream {
  addEventListener = vi.fn()
  close = vi.fn()
}

beforeEach(() => {
  vi.stubGlobal('EventSource', SilentStream)
})
afterEach(() => {
  cleanup()
  get.mockReset()
  vi.unstubAllGlobals()
})

const GIB = 1_024 ** 3
const FOLLOWING: Reader = { name: 'telemetry', about: 'Takes messages apart.', state: 'following', lag: 0, uncommitted: 12, logWaits: true, lastMoved: new Date().toISOString() }
const WELL: Health = {
  version: '1.2.3',
  ready: true,
  problems: [],
  readers: [FOLLOWING, { ...FOLLOWING, name: 'last_seen' }],
  log: { bytes: 5 * 1_024 ** 2, bytesMax: 10 * GIB, firstOffset: 100, nextOffset: 1_334 },
  disk: { freeBytes: 50 * GIB, totalBytes: 200 * GIB, room: 'enough' },
}

function withReader(reader: Partial<Reader>, ready = true): Health {
  const problems = reader.problem === undefined ? [] : [{ condition: 'reader telemetry', message: reader.problem }]
  return { ...WELL, ready, problems, readers: [{ ...FOLLOWING, ...reader }, { ...FOLLOWING, name: 'last_seen' }] }
}

function answer(status: number, body: Health | Schemas['Error']): void {
  const response = new Response(null, { status })
  get.mockResolvedValue((status === 200 ? { data: body, response } : { error: body, response }) as never)
}

function open(permissions: Schemas['Permission'][] = ['installation.view']): QueryClient {
  const queryClient = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: Infinity } } })
  const session: Schemas['Session'] = { user: { id: 'u', roles: [] }, application: { id: 'a', name: 'first' }, permissions }
  queryClient.setQueryData(sessionQuery.queryKey, session)
  render(
    <QueryClientProvider client={queryClient}>
      <HealthPage />
    </QueryClientProvider>,
  )
  return queryClient
}

async function row(name: string): Promise<HTMLElement> {
  const table = await screen.findByRole('table', { name: 'Readers of the log' })
  return within(table).getByRole('row', { name: new RegExp(name) })
}

it('shows the shape of the page until the answer is there', () => {
  get.mockReturnValue(new Promise(() => undefined) as never)
  open()
  expect(screen.getByRole('status', { name: 'Loading the health' })).toBeTruthy()
})

it('says in one sentence that all is well, and shows each reader, the log, the disk and the version', async () => {
  answer(200, WELL)
  open()
  for (const name of ['telemetry', 'last_seen']) expect((await row(name)).textContent).toContain('Following')
  expect(screen.getByText('Ready')).toBeTruthy()
  expect(screen.getByText(sentenceOf(WELL)).textContent).toContain('Tidegate 1.2.3')
  expect(screen.getByRole('region', { name: 'Log' }).textContent).toContain('5.0 MiB of at most 10 GiB')
  expect(screen.getByRole('region', { name: 'Log' }).textContent).toContain('1,333')
  expect(screen.getByRole('region', { name: 'Disk' }).textContent).toContain('50 GiB of 200 GiB')
  expect(screen.queryByRole('alert')).toBeNull()
})

it('says what to do about a reader that is behind, and since when it is', async () => {
  answer(200, withReader({ state: 'behind', lag: 4_321, unreadSince: new Date(Date.now() - 90_000).toISOString() }))
  open()
  expect((await row('telemetry')).textContent).toContain('4,321oldest from 1 minute ago')
  const advice = screen.getByText('telemetry is behind.').parentElement?.textContent
  expect(advice).toContain('4,321 records wait for it')
  expect(advice).toContain('Nothing is lost')
  expect(advice).toContain('processor or the disk')
  expect(screen.getByText('Everything works, and telemetry is behind.')).toBeTruthy()
})

it.each([
  ['stopped', 'telemetry stopped.', 'It is started again by itself'],
  ['notStoring', 'telemetry cannot store what it makes.', 'tried again every few seconds'],
] as const)('names the reason of a reader that is %s, and what to do', async (state, title, remedy) => {
  answer(200, withReader({ state, lag: 1, problem: 'no space left on device' }, false))
  open()
  const advice = await screen.findByRole('alert')
  for (const words of [title, 'no space left on device', remedy, 'tidegate doctor']) expect(advice.textContent).toContain(words)
  expect(screen.getByText('Not ready')).toBeTruthy()
  expect((await row('last_seen')).textContent).toContain('Following')
  expect(screen.queryByRole('region', { name: 'What does not work' })).toBeNull()
})

it('does not promise that nothing is lost where the log does not wait', async () => {
  answer(200, withReader({ state: 'behind', lag: 1, logWaits: false }))
  open()
  expect((await row('telemetry')).textContent).toContain('the log does not wait')
  expect(screen.getByText('telemetry is behind.').parentElement?.textContent).not.toContain('Nothing is lost')
})

it('names what else does not work, a full log and a full disk, with what to do', async () => {
  const log = { ...WELL.log, bytes: 9 * GIB }
  const disk = { freeBytes: 0, totalBytes: GIB, room: 'full' } as const
  answer(200, { ...WELL, ready: false, problems: [{ condition: 'log', message: 'the disk is full' }], log, disk })
  open()
  expect((await screen.findByRole('region', { name: 'What does not work' })).textContent).toContain('the disk is fullMessages cannot be made durable')
  expect(screen.getByRole('region', { name: 'Log' }).textContent).toContain('When the log is full')
  expect(screen.getByRole('region', { name: 'Disk' }).textContent).toContain('Make room')
})

it('says when nothing follows the log, and when nothing is in it', async () => {
  answer(200, { ...WELL, readers: [], log: { ...WELL.log, firstOffset: 0, nextOffset: 0 } })
  open()
  expect(await screen.findByRole('heading', { name: 'Nothing follows the log' })).toBeTruthy()
  expect(screen.getByRole('region', { name: 'Log' }).textContent).toContain('none yet')
})

it('asks for nothing without the permission, and says who has it', () => {
  open(['devices.view'])
  expect(screen.getByRole('heading', { name: 'This is for those who run the installation' })).toBeTruthy()
  expect(get).not.toHaveBeenCalled()
})

it('says the same when the server refuses', async () => {
  answer(403, { error: { code: 'Unauthorized', message: 'The permission installation.view is missing.' } })
  open()
  expect(await screen.findByRole('heading', { name: 'This is for those who run the installation' })).toBeTruthy()
})

it('says where to look while the server cannot tell', async () => {
  answer(500, { error: { code: 'InternalServerError', message: 'Something went wrong.', requestId: 'abc-1' } })
  open()
  expect((await screen.findByRole('alert')).textContent).toContain('abc-1')
  expect(screen.getByText('/health/ready')).toBeTruthy()
})

it('keeps what it showed when it cannot be read again, and says from when it is', async () => {
  answer(200, WELL)
  const queryClient = open()
  await row('telemetry')
  answer(500, { error: { code: 'InternalServerError', message: 'Something went wrong.' } })
  await queryClient.refetchQueries({ queryKey: healthQuery.queryKey })
  expect(await screen.findByText(/What you see is from/)).toBeTruthy()
  expect((await row('telemetry')).textContent).toContain('Following')
})

it.each([
  [0, '0 bytes'],
  [1_023, '1,023 bytes'],
  [1_024, '1.0 KiB'],
  [10 * GIB, '10 GiB'],
  [1.5 * GIB, '1.5 GiB'],
  [2_000 * GIB, '2.0 TiB'],
])('%i is %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text)
})
