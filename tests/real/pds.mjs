// A real Bluesky PDS with its PLC directory, on free loopback ports, data thrown away.
//
//   ATPROTO_HOME=FOLDER LOG_ENABLED=0 NODE tests/real/pds.mjs      (ends with its standard input)
//
// Prints {"pds":"http://localhost:…","plc":"http://localhost:…"} once it answers.

import { createServer } from 'node:net'
import { load, liveWithParent, ready } from './home.mjs'

liveWithParent()

const freePort = () =>
  new Promise((done, failed) => {
    const probe = createServer().on('error', failed)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => done(port))
    })
  })

const { TestNetworkNoAppView } = await load('@atproto/dev-env')
const [pds, plc] = await Promise.all([freePort(), freePort()])
const network = await TestNetworkNoAppView.create({
  pds: { port: pds, hostname: 'localhost' },
  plc: { port: plc },
})
ready({ pds: network.pds.url, plc: network.plc.url })
