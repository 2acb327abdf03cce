// One stream of warnings for all tabs of a browser: HTTP/1.1 allows a browser six connections to a host, and each stream
// holds one. The tab that has the lock listens and tells the others.

export interface Heard {
  name: 'warning' | 'changed' | 'state'
  data: string
}

export function listen(hear: (h: Heard) => void): () => void {
  let source: EventSource | undefined
  let ended = false
  let release: (() => void) | undefined
  const channel = 'BroadcastChannel' in window ? new BroadcastChannel('varde') : undefined
  const tell = (h: Heard) => {
    hear(h)
    channel?.postMessage(h)
  }
  const open = () => {
    source = new EventSource('/api/v1/live')
    source.onopen = () => tell({ name: 'state', data: 'on' })
    source.onerror = () => tell({ name: 'state', data: 'off' })
    source.addEventListener('warning', (e) => tell({ name: 'warning', data: String(e.data) }))
    source.addEventListener('changed', (e) => tell({ name: 'changed', data: String(e.data) }))
  }
  if (channel && navigator.locks) {
    channel.onmessage = (e: MessageEvent<Heard>) => hear(e.data)
    void navigator.locks.request('varde.live', () => {
      if (ended) return
      open()
      return new Promise<void>((done) => (release = done))
    })
  } else {
    open()
  }
  return () => {
    ended = true
    source?.close()
    channel?.close()
    release?.()
  }
}
