// What all pages share: who is logged in, what time it is at the server, preferences, and when to refresh.

import type { Session } from './types'
import { loc } from './loc.svelte'
import { resolve } from './time'

export type Theme = 'system' | 'light' | 'dark'

function recall(key: string): string {
  try {
    return localStorage.getItem('varde.' + key) ?? ''
  } catch {
    return ''
  }
}

function remember(key: string, value: string) {
  try {
    localStorage.setItem('varde.' + key, value)
  } catch {
    // Storage may be forbidden; the choice lasts as long as the page.
  }
}

class App {
  session = $state.raw<Session>()
  offset = 0 // server's clock minus ours, milliseconds
  round = $state(0) // grows with each refresh
  clock = $state(Date.now()) // the server's, now and then
  theme = $state<Theme>((recall('theme') as Theme) || 'system')
  zone = $state(recall('tz') === 'local' ? 'local' : 'utc')
  open = $state<number>() // open warnings, for the badge
  fresh = $state<string[]>([]) // ids of warnings that came while one looks
  connected = $state<boolean>()

  get local() {
    return (loc.params.tz ?? this.zone) === 'local'
  }

  now() {
    return Date.now() + this.offset
  }

  came(s: Session) {
    this.session = s
    this.offset = Date.parse(s.now) - Date.now()
    this.clock = this.now()
  }

  mustLogin() {
    if (this.session && !this.session.login) this.session = { ...this.session, login: true, user: undefined }
  }

  refresh() {
    this.clock = this.now()
    this.round++
  }

  setTheme(t: Theme) {
    this.theme = t
    remember('theme', t)
    if (t === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = t
  }

  setZone(z: 'utc' | 'local') {
    this.zone = z
    remember('tz', z)
  }

  // window is the span of time that is shown, in milliseconds.
  get window() {
    return resolve(loc.params.from ?? '-24h', loc.params.to ?? 'now', this.clock)
  }

  get live() {
    return (loc.params.to ?? 'now') === 'now' && loc.params.live !== 'off'
  }
}

export const app = new App()
