// How a Fireplot is drawn: time by the logarithm of the destination port, a colour for each class.

export interface Palette {
  ground: string
  ink: string
  classes: string[] // tcp4, udp4, tcp6, udp6, icmp4, icmp6, other
}

export const palettes: Record<string, Palette> = {
  classic: { ground: '#000000', ink: '#c0c0c0', classes: ['#00ff00', '#b0b0ff', '#ff0000', '#ffffff', '#ffd24d', '#ff9f40', '#9a9a9a'] },
  safe: { ground: '#000000', ink: '#c0c0c0', classes: ['#56b4e9', '#f0e442', '#e69f00', '#ffffff', '#009e73', '#cc79a7', '#9a9a9a'] },
  light: { ground: '#ffffff', ink: '#4a5058', classes: ['#12782c', '#3f51c4', '#c4261d', '#1b1f24', '#9a6a00', '#8a4b00', '#7d838a'] },
}

export const classes = ['TCP', 'UDP', 'TCP v6', 'UDP v6', 'ICMP', 'ICMP v6', 'other']

export const marks = [1, 7, 22, 53, 80, 123, 161, 443, 587, 1024, 1433, 3306, 5000, 6881, 10000, 20000, 50000, 65535]

// Cell is one dot: where it lies on the canvas and how often each class was there.
export interface Cell {
  x: number
  y: number
  counts: number[]
}

// scale maps ports to rows of a canvas, low ports at the bottom.
export function scale(low: number, high: number, height: number) {
  const a = Math.log2(Math.max(low, 1))
  const b = Math.log2(Math.max(high, 1) + 1)
  return {
    y: (port: number) => height - ((Math.log2(Math.max(port, 1)) - a) / (b - a)) * height,
    port: (y: number) => Math.min(Math.max(Math.floor(2 ** (a + ((height - y) / height) * (b - a)) + 1e-9), low), high),
  }
}

const rgb = (hex: string): [number, number, number] => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)) as [number, number, number]

// shade draws all cells into an image. A cell with several classes takes the colour of one of them, each as likely as the
// logarithm of its count says, so that a few of one kind do not repaint many of another; a single hit stays visible.
export function shade(image: ImageData, cells: Cell[], palette: Palette, shown: boolean[], size: number) {
  const ground = rgb(palette.ground)
  const colours = palette.classes.map(rgb)
  const d = image.data
  for (let i = 0; i < d.length; i += 4) {
    d[i] = ground[0]
    d[i + 1] = ground[1]
    d[i + 2] = ground[2]
    d[i + 3] = 255
  }
  let most = 1
  for (const c of cells) for (const n of c.counts) most = Math.max(most, n)
  const top = Math.log(most + 1)
  for (const c of cells) {
    let weight = 0
    let n = 0
    for (const [k, v] of c.counts.entries()) {
      if (!v || !shown[k]) continue
      weight += Math.log(v + 1)
      n += v
    }
    if (weight === 0) continue
    let at = (((c.x * 73856093) ^ (c.y * 19349663)) >>> 0) / 2 ** 32 * weight
    let k = 0
    for (const [i, v] of c.counts.entries()) {
      if (!v || !shown[i]) continue
      k = i
      at -= Math.log(v + 1)
      if (at < 0) break
    }
    const colour = colours[k] ?? colours[6]!
    const light = 0.45 + 0.55 * (Math.log(n + 1) / top)
    for (let dy = 0; dy < size; dy++) {
      for (let dx = 0; dx < size; dx++) {
        const x = c.x + dx
        const y = c.y - dy
        if (x >= image.width || y < 0 || y >= image.height) continue
        const i = (y * image.width + x) * 4
        for (let j = 0; j < 3; j++) d[i + j] = Math.round(ground[j]! + (colour[j]! - ground[j]!) * light)
      }
    }
  }
}
