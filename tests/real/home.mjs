// What the scripts here share: packages out of $ATPROTO_HOME (see install.sh), one line of
// JSON on standard output when ready, and an end that cannot be forgotten.

import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const home = process.env.ATPROTO_HOME
if (!home) {
  console.error('ATPROTO_HOME is not set; it is the folder given to tests/real/install.sh')
  process.exit(64)
}
const { resolve: find } = createRequire(join(resolve(home), 'package.json'))

/** The package `name`, though it is not installed beside this file. */
export const load = (name) => import(pathToFileURL(find(name)).href)

/** Says that the server stands, and where. */
export const ready = (where) => process.stdout.write(`${JSON.stringify(where)}\n`)

/** Lives as long as standard input is open: a test that dies takes its servers along. */
export const liveWithParent = () => {
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume()
}
