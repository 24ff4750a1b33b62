// A provider of OpenID Connect (oidc-provider) on loopback with pages to sign in, where ann is in a group and eve in none.
// Usage: node oidc.mjs WHERE-TO-COME-BACK-TO
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [back] = process.argv.slice(2);
const groups = { ann: ['crisis-team', 'all-staff'], eve: [] };
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  // By name: for browsers another site than the daemon, which is called by its address.
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'stormbell',
      client_secret: 'planted client+secret%/',
      redirect_uris: [back],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    claims: { profile: ['preferred_username'], groups: ['groups'] },
    // As the services of hospitals do: what is known of somebody stands in the ID token.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: `id-of-${id}`, preferred_username: id, groups: groups[id] ?? [] }),
    }),
    cookies: { keys: ['planted'] },
  });
  server.on('request', provider.callback());
  console.log(`listens at ${issuer}`);
});
