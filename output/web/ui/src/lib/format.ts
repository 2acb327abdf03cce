import type { Endpoint, Incident } from './types'

// safe makes hostile text safe to look at: what is not printable or turns the direction of writing becomes visible.
export function safe(text: string): string {
  let out = ''
  for (const c of text) {
    const n = c.codePointAt(0) ?? 0
    out += hidden.test(c) ? (n > 0xffff ? `\\u{${n.toString(16)}}` : '\\u' + n.toString(16).padStart(4, '0')) : c
  }
  return out
}

const hidden = /[\p{C}\p{Zl}\p{Zp}\uFFFD]/u

export const cut = (text: string, n: number) => ([...text].length > n ? [...text].slice(0, n - 1).join('') + '…' : text)

const si = ['', 'k', 'M', 'G', 'T', 'P', 'E']

function scaled(n: number): [string, string] {
  let unit = 0
  while (n >= 999.5 && unit < si.length - 1) {
    n /= 1000
    unit++
  }
  return [unit === 0 ? String(Math.round(n)) : n < 9.95 ? n.toFixed(1) : String(Math.round(n)), si[unit] ?? '']
}

export function bytes(n: number): string {
  const [v, u] = scaled(n)
  return `${v} ${u}B`
}

export const count = (n: number) => Math.round(n).toLocaleString('en-GB')

// short is a count in three digits.
export function short(n: number): string {
  const [v, u] = scaled(n)
  return v + (u ? ' ' + u : '')
}

export function rate(n: number): string {
  if (n > 0 && n < 9.95) return n.toFixed(1)
  return count(n)
}

export const units = { bytes, packets: count, events: count, sources: count } as const
export type Measure = keyof typeof units

const protos: Record<number, string> = {
  1: 'icmp', 2: 'igmp', 4: 'ipip', 6: 'tcp', 17: 'udp', 33: 'dccp', 41: 'ipv6', 47: 'gre', 50: 'esp', 51: 'ah', 58: 'icmp6', 89: 'ospf', 132: 'sctp',
}
export const proto = (n?: number) => (n === undefined ? '' : (protos[n] ?? String(n)))

const ports: Record<string, string> = {
  '21/tcp': 'FTP', '22/tcp': 'SSH', '23/tcp': 'Telnet', '25/tcp': 'SMTP', '53/udp': 'DNS', '53/tcp': 'DNS', '80/tcp': 'HTTP', '110/tcp': 'POP3',
  '123/udp': 'NTP', '143/tcp': 'IMAP', '161/udp': 'SNMP', '389/tcp': 'LDAP', '443/tcp': 'HTTPS', '443/udp': 'QUIC', '445/tcp': 'SMB', '465/tcp': 'SMTPS',
  '514/udp': 'syslog', '587/tcp': 'submission', '853/tcp': 'DNS over TLS', '993/tcp': 'IMAPS', '995/tcp': 'POP3S', '1080/tcp': 'SOCKS', '1433/tcp': 'MS SQL',
  '1900/udp': 'SSDP', '2323/tcp': 'Telnet', '3306/tcp': 'MySQL', '3389/tcp': 'RDP', '5060/udp': 'SIP', '5432/tcp': 'PostgreSQL', '5555/tcp': 'ADB',
  '5900/tcp': 'VNC', '6379/tcp': 'Redis', '7547/tcp': 'TR-069', '8080/tcp': 'HTTP', '8443/tcp': 'HTTPS', '8728/tcp': 'MikroTik API', '9200/tcp': 'Elasticsearch',
  '11211/udp': 'memcached', '27017/tcp': 'MongoDB', '37215/tcp': 'Huawei HG532', '51820/udp': 'WireGuard',
}
// service is what a port usually is, '' where nothing is usual.
export const service = (key: string) => ports[key] ?? ''

let regions: Intl.DisplayNames | undefined
// country is a country's name.
export function country(code: string): string {
  try {
    regions ??= new Intl.DisplayNames('en-GB', { type: 'region' })
    return /^[A-Z]{2}$/.test(code) ? (regions.of(code) ?? code) : code
  } catch {
    return code
  }
}

// change says how much more or less b is than a.
export function change(now: number, before: number): string {
  if (before === 0) return now === 0 ? 'as before' : 'none before'
  const p = ((now - before) / before) * 100
  if (Math.abs(p) < 1) return '±0 %'
  if (p > 999) return `× ${short(now / before)}`
  return (p > 0 ? '+' : '−') + Math.abs(p).toFixed(0) + ' %'
}

// web is a link that may be followed, '' where a list gives something else.
export function web(url?: string): string {
  return url && /^https?:\/\//i.test(url) ? url : ''
}

export function end(e: Endpoint | undefined): string {
  if (!e) return ''
  const addr = e.addr ? (e.port ? (e.addr.includes(':') ? `[${e.addr}]:${e.port}` : `${e.addr}:${e.port}`) : e.addr) : ''
  if (!e.name) return addr
  return addr ? `${safe(e.name)} (${addr})` : safe(e.name)
}

// did is what happened between the ends, as words between them or after them.
export function did(w: Incident): string {
  switch (w.verdict) {
    case 'answered out': return 'answered by'
    case 'contact out': return 'tried'
    case 'refused out': return 'refused by'
    case 'answered in': return 'answered'
    case 'probe in': return 'probed by'
    case 'refused in': return 'refused'
    case 'reply only': return 'replied to'
    case 'passing': return 'passing, with'
  }
  return 'and'
}

// arrow is the direction: who began.
export function arrow(w: Incident): { glyph: string; word: string } {
  if (/ out$/.test(w.verdict)) return { glyph: '→', word: 'outbound' }
  if (/ in$/.test(w.verdict)) return { glyph: '←', word: 'inbound' }
  return { glyph: '↔', word: w.verdict }
}

// word is a value as the filter language takes it.
export function word(v: string): string {
  return /^[\p{L}\p{N}_./:@+%-]+$/u.test(v) && !/^(and|or|not|in|any|none)$/i.test(v) ? v : JSON.stringify(v)
}

// where is the filter for one value of a field.
export function where(field: string, value: string): string {
  if (value === '') return `${field} ""`
  switch (field) {
    case 'src': case 'dst': case 'own': case 'foreign': return `${field} ${value}`
    case 'src24': return `src net ${value}`
    case 'dst24': return `dst net ${value}`
    case 'sport': return `src port ${value}`
    case 'dport': return `dst port ${value}`
    case 'in_if': return `in if ${word(value)}`
    case 'out_if': return `out if ${word(value)}`
    case 'icmp_type': return `icmp-type ${value}`
    case 'icmp_code': return `icmp-code ${value}`
    case 'tcp_flags': return `flags ${value}`
    case 'asn': return `as ${value}`
    default: return `${field} ${word(value)}`
  }
}

// both joins two filters.
export function both(a: string | undefined, b: string): string {
  if (!a?.trim()) return b
  const part = / or /i.test(a) ? `(${a})` : a
  return part.includes(b) ? part : `${part} and ${b}`
}
