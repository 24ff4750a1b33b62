// Reads a Misskey's global timeline with misskey-js, captures each note, and prints what it understood.
import * as Misskey from 'misskey-js';
import WebSocket from 'ws';

const [origin] = process.argv.slice(2);
const stream = new Misskey.Stream(origin, { token: 't0ken' }, { WebSocket });
const say = (what) => console.log(JSON.stringify(what));
const channel = stream.useChannel('globalTimeline', { withRenotes: false });
channel.on('note', (note) => {
  stream.send('subNote', { id: note.id });
  say({ id: note.id, text: note.text, by: note.user.username, alt: note.files.map((file) => file.comment) });
});
stream.on('noteUpdated', (updated) => say({ id: updated.id, what: updated.type }));
