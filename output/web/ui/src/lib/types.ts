// The shapes of the API's answers, as docs/api/openapi.yaml has them.

export interface Totals {
  events: number
  packets: number
  bytes: number
  sources?: number
  first?: string
  last?: string
  sampled?: boolean
}

export interface Span {
  from?: string
  to?: string
  filter?: string
}

export interface Group extends Totals {
  key: string[]
}

export interface Top extends Span {
  by: string[]
  order: string
  groups: number
  total: Totals
  rows: Group[]
}

export interface Line {
  key: string
  rest?: boolean
  events: number[]
  packets: number[]
  bytes: number[]
}

export interface Series extends Span {
  step: number
  by?: string
  order: string
  lines: Line[]
}

export interface Event {
  time: string
  end?: string
  kind: string
  source?: string
  exporter?: string
  session?: string
  proto?: number
  src?: string
  sport?: number
  dst?: string
  dport?: number
  packets?: number
  bytes?: number
  rev_packets?: number
  rev_bytes?: number
  sampling?: number
  tcp_flags?: string
  icmp_type?: number
  icmp_code?: number
  in_if?: string
  out_if?: string
  action?: string
  rule?: string
  count?: number
  country?: string
  asn?: number
  detail?: Record<string, string>
  own?: string[]
  lists?: string[]
}

export interface Events extends Span {
  more: boolean
  rows: Event[]
}

export interface Evidence {
  list: string
  entry: string
  name?: string
  url?: string
  confidence?: number
  tags?: string[]
  seen?: string
  age?: number
  info?: boolean
  downgraded?: boolean
}

export interface Endpoint {
  addr?: string
  port?: number
  name?: string
}

export interface Mute {
  id: number
  prefix?: string
  list?: string
  rule?: string
  why: string
  by?: string
  created?: string
  expires?: string
}

export interface Incident {
  id: string
  time: string
  rule: string
  state: string
  severity: Severity
  verdict: string
  own?: Endpoint
  foreign?: Endpoint
  proto?: number
  first?: string
  last?: string
  count: number
  packets_out: number
  bytes_out: number
  packets_in: number
  bytes_in: number
  sampling?: number
  export_lag?: number
  match_lag?: number
  why?: string
  event: Event
  evidence: Evidence[]
  scan?: Scan
  surge?: Surge
  told: number
  acked?: { at: string; by: string; why: string }
  muted?: Mute
}

export type Severity = 'info' | 'low' | 'medium' | 'high' | 'critical'
export const severities: Severity[] = ['critical', 'high', 'medium', 'low', 'info']

export interface Scan {
  pattern: string
  ports: number
  port_low: number
  port_high: number
  targets: number
  sources: number
  rate?: number
}

export interface Surge {
  meaning?: string
  sources: number
  expected: number
  curve?: number[]
}

export interface Pixels extends Span {
  width: number
  height: number
  classes: string[]
  pixels: number[] // x, y, class, count of each cell
}

export interface Points extends Span {
  classes: string[]
  points: number[] // milliseconds after from, port, class, count of each event
}

export interface Warnings extends Span {
  found: number
  rows: Incident[]
}

export interface KindTotals {
  kind: string
  as_source: Totals
  as_target: Totals
}

export interface Visit {
  id: string
  source?: string
  exporter?: string
  src?: string
  dst?: string
  dport?: number
  first: string
  last: string
  logins: number
  accepted: number
  commands: number
  tunnels: number
  payloads: number
  files: number
}

export interface About extends Span {
  address: string
  name?: string
  country?: string
  asn?: string
  evidence: Evidence[]
  kinds: KindTotals[]
  peers: Group[]
  services: Group[]
  exporters: Group[]
  days: (Totals & { day: string })[]
  incidents: Incident[]
  sessions: Visit[]
}

export interface Input {
  name: string
  kind: string
  records: number
  rate?: number
  rates?: number[]
  silent?: number
  lost_before: number
  lost_here: number
  undecoded: number
  lag?: number
  sampling?: number
  templates?: number
  held?: number
  restarts?: number
  note?: string
}

export interface List {
  name: string
  source: string
  format: string
  entries: number
  rejected: number
  loaded?: string
  next?: string
  hits: number
  error?: string
}

export interface Output {
  name: string
  said: number
  waiting: number
  errors: number
  refused: number
  lost: number
  spool_bytes: number
  failing: boolean
}

export interface Store {
  events: number
  rate?: number
  stored: number
  not_stored: number
  paused: boolean
  hot_bytes: number
  archive_bytes: number
  archived_events: number
  archive_files: number
  oldest?: number
  set_aside: number
}

export interface Health {
  now: string
  started: string
  version?: string
  inputs: Input[]
  lists: List[]
  outputs: Output[]
  store?: Store
  failures: { part: string; error: string }[]
  socket_dropped: number
  bad?: Record<string, number>
  open_incidents: number
}

export interface Figure {
  part: string
  name: string
  labels?: Record<string, string>
  kind: string
  unit?: string
  value: number
  rate?: number
  age?: number
  help: string
}

export interface Curve {
  key: string
  total?: number
  values: (number | null)[]
}

export interface MailSource {
  name: string
  up: boolean
  problem?: string
  age?: number
  errors: number
  note?: string
}

export interface MailQueue {
  name: string
  messages?: number
  more?: boolean
  bytes?: number
  oldest?: number
  sizes: (number | null)[]
}

export interface Signature {
  scanner: string
  database?: string
  state: string
  age?: number
  note: string
}

export interface MailState extends Span {
  now: string
  since?: string
  step: number
  sources: MailSource[]
  received?: Curve
  content: Curve[]
  advice: Curve[]
  delays: Curve[]
  queues: MailQueue[]
  processes?: { idle: number; busy: number; by?: Record<string, number>; oldest: number; gone: number; hidden?: boolean; over: Curve[] }
  signatures: Signature[]
  viruses: { name: string; count: number }[]
}

export interface Sender {
  sender: string
  events: number
  refused: number
  hosts: number
}

export interface Letters extends Span {
  looked: number
  more: boolean
  step: number
  verdicts: { verdict: string; events: number }[]
  content: Curve[]
  refused: number
  senders: Sender[]
  rows: Event[]
}

// A value as a walk through the SNMP agent shows it.
export interface Variable {
  oid: string
  name: string
  type: string
  value: string
}

export interface SNMP {
  on: boolean
  total: number
  rows: Variable[]
}

export interface Session {
  login: boolean
  user?: string
  version?: string
  store: boolean
  now: string
}

export interface Word {
  name: string
  help: string
  example: string
  groups?: boolean
}

export interface Language {
  fields: Word[]
  words: Word[]
  lists?: string[]
}

export interface Problem {
  error: string
  column?: number
  length?: number
  near?: string
}
