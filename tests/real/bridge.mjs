// A bridge from a PDS's firehose to Jetstream's v1 wire. No Jetstream server can be
// installed from the package registries, so this is the shortest honest way from a server
// written by others to ours: the firehose is read by Bluesky's own library, which checks
// signatures and decodes records; only the last step, the JSON, is written here.
//
//   ATPROTO_HOME=FOLDER NODE tests/real/bridge.mjs PDS_URL PLC_URL [PORT]
//
// Prints {"jetstream":"ws://127.0.0.1:…/subscribe"} when it listens; ends with its standard
// input. Speaks /subscribe with `wantedCollections` and `cursor`; nothing else of the wire.

import { createServer } from 'node:http'
import { load, liveWithParent, ready } from './home.mjs'

const KEPT = 10_000
const PING_EVERY_MS = 30_000

const [pds, plc, port = '0'] = process.argv.slice(2)
if (!pds || !plc) {
  console.error('usage: bridge.mjs PDS_URL PLC_URL [PORT]')
  process.exit(64)
}
liveWithParent()

const [{ Firehose }, { IdResolver }, { lexToJson }, ws] = await Promise.all(
  ['@atproto/sync', '@atproto/identity', '@atproto/lex-json', 'ws'].map(load),
)
const { WebSocketServer, WebSocket } = ws.default ?? ws

// ---- The reel: the last frames, each with the microsecond it was seen. ----------------

const reel = []
const listeners = new Set()
let last = 0

/** Every event has a microsecond of its own, as on the real server. */
const stamp = () => (last = Math.max(last + 1, Date.now() * 1000))

const show = (did, kind, body, collection) => {
  const time = stamp()
  const text = JSON.stringify({ did, time_us: time, kind, [kind]: body })
  const kept = { time, collection, text }
  reel.push(kept)
  if (reel.length > KEPT) reel.shift()
  for (const listener of listeners) listener.send(kept)
}

// ---- From the firehose's events to the wire's. -----------------------------------------

const commit = (event) => {
  const { did, rev, collection, rkey, event: operation } = event
  const body = { rev, operation, collection, rkey }
  if (operation !== 'delete') {
    body.record = lexToJson(event.record)
    body.cid = event.cid.toString()
  }
  show(did, 'commit', body, collection)
}

/** The handle the DID document claims. Handles ending in .test resolve nowhere. */
const claimedHandle = (document) =>
  document?.alsoKnownAs?.find((name) => name.startsWith('at://'))?.slice('at://'.length)

const identity = ({ did, seq, time, didDocument }) => {
  const handle = claimedHandle(didDocument)
  show(did, 'identity', { did, ...(handle && { handle }), seq, time })
}

const account = ({ did, seq, time, active, status }) => {
  show(did, 'account', { active, did, seq, ...(status && { status }), time })
}

const translate = {
  create: commit,
  update: commit,
  delete: commit,
  identity,
  account,
  sync: () => {}, // never sent on the v1 wire
}

const firehose = new Firehose({
  service: pds.replace(/^http/, 'ws'),
  idResolver: new IdResolver({ plcUrl: plc, fetch: globalThis.fetch }), // the default refuses loopback
  unauthenticatedHandles: true,
  getCursor: () => 0, // everything the PDS still has
  subscriptionReconnectDelay: 200,
  handleEvent: (event) => translate[event.event](event),
  onError: (error) => console.error(`bridge: ${error.name}: ${error.cause?.message ?? error.message}`),
})

// ---- The v1 wire. --------------------------------------------------------------------------

const NSID = /^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(\.\*)?$/

/** What the listener asked for, or the reason for a 400. */
const subscription = (url) => {
  const wanted = url.searchParams.getAll('wantedCollections')
  const bad = wanted.find((name) => !NSID.test(name))
  if (bad !== undefined) return { refused: `invalid subscriber options: invalid collection: ${bad}` }
  const cursor = url.searchParams.get('cursor')
  if (cursor !== null && !/^-?\d+$/.test(cursor)) return { refused: `invalid cursor: ${cursor}` }
  return { wanted, cursor: cursor === null ? Infinity : Number(cursor) }
}

const matches = (wanted, collection) =>
  collection === undefined || // identity and account go to everybody
  wanted.length === 0 ||
  wanted.some((name) => (name.endsWith('.*') ? collection.startsWith(name.slice(0, -1)) : collection === name))

const attend = (socket, { wanted, cursor }) => {
  const listener = {
    send: ({ collection, text }) => {
      if (socket.readyState === WebSocket.OPEN && matches(wanted, collection)) socket.send(text)
    },
  }
  // One thread: nothing can be shown between the replay and joining the live ones.
  for (const kept of reel) if (kept.time >= cursor) listener.send(kept)
  listeners.add(listener)
  const ping = setInterval(() => socket.ping(), PING_EVERY_MS)
  socket.on('error', () => socket.terminate())
  socket.on('close', () => {
    clearInterval(ping)
    listeners.delete(listener)
  })
}

const server = createServer((_, response) => response.writeHead(404).end())
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })

server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://localhost')
  const asked = url.pathname === '/subscribe' ? subscription(url) : { missing: true }
  if (asked.missing || asked.refused) {
    const reason = asked.refused ?? 'not found'
    const status = asked.refused ? '400 Bad Request' : '404 Not Found'
    socket.end(
      `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(reason)}\r\nconnection: close\r\n\r\n${reason}`,
    )
    return
  }
  sockets.handleUpgrade(request, socket, head, (listener) => attend(listener, asked))
})

server.listen(Number(port), '127.0.0.1', () => {
  firehose.start()
  ready({ jetstream: `ws://127.0.0.1:${server.address().port}/subscribe` })
})
