// The one popover of an address; it comes after a moment's rest and goes after a moment away.

export const popover = $state<{ addr: string; x: number; y: number; above: boolean }>({ addr: '', x: 0, y: 0, above: false })

const rest = 350
const away = 250
let timer: ReturnType<typeof setTimeout> | undefined

export function point(el: Element, addr: string) {
  clearTimeout(timer)
  timer = setTimeout(() => {
    const r = el.getBoundingClientRect()
    popover.above = r.bottom > window.innerHeight - 300 && r.top > 300
    popover.x = Math.max(8, Math.min(r.left, window.innerWidth - 348))
    popover.y = popover.above ? window.innerHeight - r.top + 4 : r.bottom + 4
    popover.addr = addr
  }, rest)
}

export function leave() {
  clearTimeout(timer)
  timer = setTimeout(hide, away)
}

export function stay() {
  clearTimeout(timer)
}

export function hide() {
  clearTimeout(timer)
  popover.addr = ''
}
