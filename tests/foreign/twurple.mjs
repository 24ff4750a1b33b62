// Reads an EventSub session with @twurple/eventsub-ws and prints what it understood.
import { ApiClient } from '@twurple/api';
import { EventSubWsListener } from '@twurple/eventsub-ws';

const [api, url] = process.argv.slice(2);
const ask = globalThis.fetch;
globalThis.fetch = (asked, options) => ask(asked.replace('https://api.twitch.tv/helix/', api), options);
const token = { accessToken: 'planted-twitch-token', refreshToken: null, scope: [], expiresIn: null, obtainmentTimestamp: 0 };
const reader = async () => ({ ...token, userId: '9' });
const authProvider = {
  clientId: 'app1',
  authorizationType: 'Bearer',
  getCurrentScopesForUser: () => ['user:read:chat'],
  getAccessTokenForUser: reader,
  getAnyAccessToken: reader,
};
const listener = new EventSubWsListener({ apiClient: new ApiClient({ authProvider, logger: { minLevel: 'error' } }), url });
const say = (what) => console.log(JSON.stringify(what));
const taken = [];
listener.onSubscriptionCreateSuccess((subscription) => {
  taken.push(subscription.id.split('.').slice(0, 3).join('.'));
  // They are asked for at once, and answered in any order.
  if (taken.length === 2) taken.sort().forEach((subscribed) => say({ subscribed }));
});
listener.onSubscriptionCreateFailure((subscription, error) => say({ refused: String(error) }));
listener.onChannelChatMessage('55', '9', (event) => say({ id: event.messageId, by: event.chatterId, text: event.messageText }));
listener.onChannelChatMessageDelete('55', '9', (event) => say({ deleted: event.messageId }));
listener.start();
