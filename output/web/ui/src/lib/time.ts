// Spans of time as the address bar has them: -24h, now, 2026-11-01T12:00:00Z. All moments are milliseconds.

const units: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 }

export const presets = ['-15m', '-1h', '-6h', '-24h', '-7d', '-30d']
export const names: Record<string, string> = {
  '-15m': '15 min', '-1h': '1 h', '-6h': '6 h', '-24h': '24 h', '-7d': '7 d', '-30d': '30 d',
}

// moment is one end of a span; NaN where the text is none that the page understands (the API knows more).
export function moment(text: string, now: number, end = false): number {
  if (text === 'now') return now
  const back = /^-(\d+(?:\.\d+)?)([smhdw])$/.exec(text)
  if (back) return now - Number(back[1]) * (units[back[2] ?? 's'] ?? 1e3)
  const day = 86400e3
  if (text === 'today' || text === 'yesterday') {
    const begin = now - (now % day) - (text === 'today' ? 0 : day)
    return end ? begin + day : begin
  }
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return Date.parse(text + 'T00:00Z') + (end ? day : 0)
  return Date.parse(/[zZ]|[+-]\d\d:\d\d$/.test(text) ? text : text + 'Z')
}

export interface Window {
  from: number
  to: number
}

export function resolve(from: string, to: string, now: number): Window {
  const w = { from: moment(from, now), to: moment(to, now, true) }
  if (Number.isNaN(w.to)) w.to = now
  if (Number.isNaN(w.from)) w.from = w.to - 86400e3
  return w
}

// stamp is a moment as a parameter, whole seconds.
export function stamp(ms: number): string {
  return new Date(Math.round(ms / 1000) * 1000).toISOString().replace('.000', '')
}

const pad = (n: number, w = 2) => String(n).padStart(w, '0')

export interface Clock {
  y: number
  mo: number
  d: number
  h: number
  mi: number
  s: number
}

export function parts(ms: number, local: boolean): Clock {
  const t = new Date(ms)
  return local
    ? { y: t.getFullYear(), mo: t.getMonth() + 1, d: t.getDate(), h: t.getHours(), mi: t.getMinutes(), s: t.getSeconds() }
    : { y: t.getUTCFullYear(), mo: t.getUTCMonth() + 1, d: t.getUTCDate(), h: t.getUTCHours(), mi: t.getUTCMinutes(), s: t.getUTCSeconds() }
}

export const date = (ms: number, local: boolean) => ((p) => `${p.y}-${pad(p.mo)}-${pad(p.d)}`)(parts(ms, local))
export const clock = (ms: number, local: boolean) => ((p) => `${pad(p.h)}:${pad(p.mi)}:${pad(p.s)}`)(parts(ms, local))
export const minutes = (ms: number, local: boolean) => clock(ms, local).slice(0, 5)
export const full = (ms: number, local: boolean) => date(ms, local) + ' ' + clock(ms, local)

// brief leaves out the date where it is today's.
export function brief(ms: number, now: number, local: boolean): string {
  const day = date(ms, local)
  if (day === date(now, local)) return clock(ms, local)
  return day.slice(5) + ' ' + minutes(ms, local)
}

// tick is a label of a time axis that is so long.
export function tick(ms: number, length: number, local: boolean): string {
  if (length <= 3600e3) return clock(ms, local)
  if (length <= 2 * 86400e3) return minutes(ms, local)
  const p = parts(ms, local)
  return `${pad(p.mo)}-${pad(p.d)}` + (length <= 8 * 86400e3 && p.h + p.mi > 0 ? ' ' + minutes(ms, local) : '')
}

const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 604800, 1209600]

// ticks are at most n round moments of an axis.
export function ticks(from: number, to: number, n: number, local: boolean): number[] {
  const least = (to - from) / 1000 / Math.max(n, 1)
  const step = (nice.find((s) => s >= least) ?? 2592000) * 1000
  const shift = local ? new Date(from).getTimezoneOffset() * 60e3 : 0
  const out: number[] = []
  for (let t = Math.ceil((from - shift) / step) * step + shift; t < to && out.length < 50; t += step) out.push(t)
  return out
}

// span writes seconds in their largest fitting unit.
export function span(seconds: number): string {
  const s = Math.abs(seconds)
  const sign = seconds < 0 ? '-' : ''
  if (s >= 172800) return sign + Math.round(s / 86400) + ' d'
  if (s >= 7200) return sign + Math.round(s / 3600) + ' h'
  if (s >= 120) return sign + Math.round(s / 60) + ' min'
  if (s >= 1) return sign + Math.round(s) + ' s'
  if (s >= 1e-3) return sign + Math.round(s * 1e3) + ' ms'
  if (s > 0) return sign + Math.max(1, Math.round(s * 1e6)) + ' µs'
  return '0 s'
}
