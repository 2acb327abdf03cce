// Where the reader is: path and parameters of the address bar are the whole state of a page.

export type Params = Record<string, string>

// framed are the parameters that stay when one goes from page to page.
const framed = ['from', 'to', 'filter', 'tz', 'live']

function read(): { path: string; params: Params } {
  return { path: location.pathname, params: Object.fromEntries(new URLSearchParams(location.search)) }
}

export const loc = $state(read())

function take() {
  const now = read()
  loc.path = now.path
  loc.params = now.params
}

window.addEventListener('popstate', take)

// readable writes parameters so that a person can read them: only what would be misread is escaped.
function readable(params: Params): string {
  const parts = Object.entries(params)
    .filter(([, v]) => v !== '')
    .map(([k, v]) => k + '=' + encodeURIComponent(v).replace(/%20/g, '+').replace(/%(2F|3A|2C|40|3E|3C|3D|7E|21)/g, (c) => keep[c] ?? c))
  return parts.length ? '?' + parts.join('&') : ''
}

const keep: Record<string, string> = { '%2F': '/', '%3A': ':', '%2C': ',', '%40': '@', '%3E': '>', '%3C': '<', '%3D': '=', '%7E': '~', '%21': '!' }

// href is a link to a page that keeps time and filter, with these parameters beside them; '' drops one.
export function href(path: string, extra: Params = {}): string {
  const params: Params = {}
  for (const k of framed) {
    const v = loc.params[k]
    if (v) params[k] = v
  }
  return path + readable({ ...params, ...extra })
}

// here is a link to the same page with some parameters changed; '' drops one.
export function here(change: Params): string {
  return loc.path + readable({ ...loc.params, ...change })
}

export function go(to: string, replace = false) {
  if (to !== location.pathname + location.search) history[replace ? 'replaceState' : 'pushState'](null, '', to)
  take()
}

export function set(change: Params, replace = false) {
  go(here(change), replace)
}

// follow makes clicks on links of the page change the state instead of loading the page again.
export function follow(e: MouseEvent) {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
  const a = (e.target as Element | null)?.closest?.('a')
  if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin || a.rel === 'external' || a.pathname.startsWith('/api/')) return
  e.preventDefault()
  const other = a.pathname !== location.pathname
  go(a.pathname + a.search)
  const place = a.hash ? document.getElementById(a.hash.slice(1)) : null
  if (place) {
    place.scrollIntoView()
    place.focus({ preventScroll: true })
  } else if (other) window.scrollTo(0, 0)
}
