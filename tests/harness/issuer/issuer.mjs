// issuer.mjs PORT TTL: a certified OpenID provider on the loopback interface, for tests. Client credentials, authorization
// code with PKCE, device code, refresh; access tokens are JWTs for the audience "landlord" that live for TTL seconds. Its
// login pages are the provider's own: any name, any password. Each start has new keys.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const ttl = Number(process.argv[3]);
const issuer = `http://127.0.0.1:${port}`;
const DAY = 86_400;

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };

// Whoever logs in is in the group of its name before the first dash, and acts for the customer behind it.
const claimsOf = (name) => {
  const [group, customer] = name.split('-', 2);
  return { groups: [group], ...(customer ? { customer } : {}) };
};

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'portal',
      client_secret: 'portal-secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'landlord-cli',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      // RFC 8252: of a loopback address any port.
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
    },
  ],
  jwks: { keys: [key] },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  scopes: ['openid', 'offline_access'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (_, token) => claimsOf(token.accountId ?? token.clientId),
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: ttl, ClientCredentials: ttl, DeviceCode: 600, Grant: DAY, IdToken: ttl, Interaction: 600,
    RefreshToken: DAY, Session: DAY,
  },
  cookies: { keys: [randomUUID()] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://landlord.example.com',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: '',
        audience: 'landlord',
        accessTokenFormat: 'jwt',
        accessTokenTTL: ttl,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
provider.listen(port, '127.0.0.1', () => console.log('ready', issuer));
