import type { Snippet } from 'svelte'

// Column is one column of a table: what it sorts and copies by, and how it looks.
export interface Column<R> {
  key: string
  label: string
  title?: string // what the heading means
  num?: boolean
  value: (r: R) => string | number
  text?: (r: R) => string // what is shown, the value where it is left out
  href?: (r: R) => string
  cell?: Snippet<[R, string]> // instead of text; it gets the row and the key
  bar?: (r: R) => number // 0 to 1, drawn under the number
  fixed?: boolean // not sorted by
}
