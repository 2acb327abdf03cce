// The pages of the rail, each with its key after g.
export interface Page {
  path: string
  name: string
  key: string
  icon: string // path of a 16 by 16 picture
}

export const pages: Page[] = [
  { path: '/', name: 'Overview', key: 'o', icon: 'M2 2h5v6H2zM9 2h5v3H9zM9 7h5v7H9zM2 10h5v4H2z' },
  { path: '/warnings', name: 'Warnings', key: 'w', icon: 'M8 1.5 15 14H1zM8 6v4M8 11.5v1' },
  { path: '/flows', name: 'Flows', key: 'f', icon: 'M1 4h9l-3-3M15 12H6l3 3M1 8h14' },
  { path: '/fireplot', name: 'Fireplot', key: 'p', icon: 'M2 1v13h13M5 10h.1M7 7h.1M8 11h.1M9 4h.1M11 6h.1M11 10h.1M13 3h.1M13 8h.1' },
  { path: '/mail', name: 'Mail', key: 'm', icon: 'M1.5 3.5h13v9h-13zM1.5 4l6.5 5 6.5-5' },
  { path: '/health', name: 'Health', key: 'h', icon: 'M1 8h3l2-5 3 10 2-5h4' },
]
