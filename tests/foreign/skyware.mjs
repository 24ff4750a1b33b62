// Reads a Jetstream server with a client written by others (@skyware/jetstream) and prints
// what it understood, one JSON value a line. Usage: node skyware.mjs ENDPOINT CURSOR COUNT
import { Jetstream } from "@skyware/jetstream";
import WebSocket from "ws";

const [endpoint, cursor, count] = process.argv.slice(2);
const jetstream = new Jetstream({
  endpoint,
  cursor: Number(cursor),
  wantedCollections: ["app.bsky.feed.post"],
  ws: WebSocket,
});

let seen = 0;
function tell(what) {
  console.log(JSON.stringify(what));
  if (++seen === Number(count)) {
    console.log(JSON.stringify({ cursor: jetstream.cursor }));
    jetstream.close();
    process.exit(0);
  }
}

jetstream.onCreate("app.bsky.feed.post", (event) =>
  tell({ create: event.commit.rkey, did: event.did, text: event.commit.record.text, cid: event.commit.cid }));
jetstream.onDelete("app.bsky.feed.post", (event) => tell({ delete: event.commit.rkey, did: event.did }));
jetstream.on("identity", (event) => tell({ identity: event.identity.handle, did: event.did }));
jetstream.on("account", (event) => tell({ account: event.account.status, active: event.account.active }));
jetstream.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
setTimeout(() => {
  console.error("gave up waiting for events");
  process.exit(2);
}, 20_000);
jetstream.start();
