import { app } from './app.svelte'
import { loc } from './loc.svelte'
import type { Problem } from './types'

// Refused is an answer that is no answer.
export class Refused extends Error {
  constructor(readonly status: number, readonly problem: Problem) {
    super(problem.error)
  }
}

export type Query = Record<string, string | number | undefined>

export function url(path: string, query: Query = {}): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== '') q.set(k, String(v))
  const text = q.toString()
  return '/api/v1' + path + (text ? '?' + text : '')
}

// asking counts the answers that are on their way; the root element tells, for tests and for styles.
let onTheWay = 0
function count(by: number) {
  onTheWay += by
  document.documentElement.dataset.asking = String(onTheWay)
}

export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  count(1)
  try {
    return await answered<T>(path, init)
  } finally {
    count(-1)
  }
}

async function answered<T>(path: string, init: RequestInit): Promise<T> {
  let r: Response
  try {
    r = await fetch(path, { credentials: 'same-origin', ...init })
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e
    throw new Refused(0, { error: 'varde does not answer; it may be restarting' })
  }
  const body: unknown = await r.json().catch(() => ({ error: `the answer is no JSON (HTTP ${r.status})` }))
  if (!r.ok) {
    if (r.status === 401 && !path.endsWith('/session')) app.mustLogin()
    throw new Refused(r.status, body as Problem)
  }
  return body as T
}

export function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  return ask<T>(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body ?? {}) })
}

// spanned are the parameters of a question about the time and the filter that the frame shows.
export function spanned(extra: Query = {}): Query {
  return { from: loc.params.from, to: loc.params.to, filter: loc.params.filter, ...extra }
}

// Answer keeps the newest answer to a question; what was there stays while the next is on its way.
export class Answer<T> {
  data = $state.raw<T>()
  problem = $state.raw<Problem>()
  busy = $state(false)
  #abort?: AbortController
  #asked = ''

  async load(path: string) {
    this.#abort?.abort()
    const abort = new AbortController()
    this.#abort = abort
    this.busy = true
    try {
      const got = await ask<T>(path, { signal: abort.signal })
      if (abort.signal.aborted) return
      this.data = got
      this.problem = undefined
      this.#asked = path
    } catch (e) {
      if (abort.signal.aborted) return
      this.problem = e instanceof Refused ? e.problem : { error: String(e) }
      if (path !== this.#asked) this.data = undefined
    } finally {
      if (!abort.signal.aborted) this.busy = false
    }
  }

  stop() {
    this.#abort?.abort()
  }
}

// asking loads an answer again whenever its question changes or the frame refreshes; call it while a component is made.
export function asking<T>(question: () => string | undefined): Answer<T> {
  const answer = new Answer<T>()
  $effect(() => {
    const path = question()
    void app.round
    if (path) void answer.load(path)
  })
  $effect(() => () => answer.stop())
  return answer
}
