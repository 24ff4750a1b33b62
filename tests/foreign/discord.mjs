// Reads a gateway with @discordjs/ws and prints what it understood of each dispatch about a message.
import { WebSocketManager, WebSocketShardEvents } from '@discordjs/ws';

const [gateway] = process.argv.slice(2);
const limit = { total: 1000, remaining: 999, reset_after: 1, max_concurrency: 1 };
const manager = new WebSocketManager({
  token: 'planted-discord-token',
  intents: 33281,
  rest: { get: async () => ({ url: gateway, shards: 1, session_start_limit: limit }) },
});
manager.on(WebSocketShardEvents.Dispatch, (payload) => {
  if (payload.t.startsWith('MESSAGE')) {
    console.log(JSON.stringify({ t: payload.t, id: payload.d.id, content: payload.d.content }));
  }
});
await manager.connect();
