// Reads a Socket Mode with Slack's own client, acknowledges, and prints what it understood of each message.
import { SocketModeClient } from '@slack/socket-mode';

const [api] = process.argv.slice(2);
const client = new SocketModeClient({ appToken: 'xapp-planted-slack-token', clientOptions: { slackApiUrl: api } });
client.on('message', async ({ event, ack }) => {
  await ack();
  console.log(JSON.stringify({ text: event.text, ts: event.ts }));
});
await client.start();
