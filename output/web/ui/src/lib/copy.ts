import { safe } from './format'

export interface Flat {
  columns: string[]
  rows: (string | number)[][]
}

// inert keeps spreadsheets from computing what a stranger wrote, as the server does in its tables: a formula may begin
// the cell or, where a semicolon parts cells, stand after one; and there are signs of full width.
function inert(v: string | number): string {
  if (typeof v === 'number') return String(v)
  return safe(v).replace(/(^|;)([ "]*)([=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1$2'$3")
}

export function asCSV(t: Flat): string {
  const quote = (s: string) => (/[",\n\r]/.test(s) ? '"' + s.replace(/"/g, '""') + '"' : s)
  return [t.columns, ...t.rows.map((r) => r.map(inert))].map((r) => r.map(quote).join(',')).join('\n') + '\n'
}

export function asJSON(t: Flat): string {
  return JSON.stringify(t.rows.map((r) => Object.fromEntries(t.columns.map((c, i) => [c, r[i] ?? null]))), null, 1) + '\n'
}

export function asMarkdown(t: Flat): string {
  const line = (r: string[]) => '| ' + r.map((s) => s.replace(/([|\\`*_<>[\]])/g, '\\$1')).join(' | ') + ' |'
  return [line(t.columns), '|' + t.columns.map(() => '---|').join(''), ...t.rows.map((r) => line(r.map((v) => safe(String(v)))))].join('\n') + '\n'
}

export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return byHand(text) // the clipboard belongs to https and loopback only
  }
}

function byHand(text: string): boolean {
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'offstage'
  document.body.append(area)
  area.select()
  const ok = document.execCommand('copy')
  area.remove()
  return ok
}
