// oidc-provider on loopback. People sign in and consent at its development pages, under any name with any password.
// Doors beside what it speaks, for tests:
//   POST /admin/clients                register a client; `access_token_lifetime` (seconds) is our own metadata member
//   POST /admin/tokens                 a person's access and refresh token for a client, as after a sign-in
//   POST /admin/revoke-access-tokens   end the living access tokens of a client, leaving its refresh tokens
//   GET  /admin/stats?client_id=...    what the server granted, refused and revoked, and which assertions it verified
//   GET  /admin/documents              how often each metadata document was fetched
// Beside the issuer at the top there are two with a path, each with its metadata at one place only (see TENANTS); all
// three know the same clients and tokens.
// Run as `node server.mjs <installation folder>`; prints one JSON line when it listens, ends when stdin is closed.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const installation = createRequire(join(process.argv[2], 'package.json'));
const { Provider } = await import(pathToFileURL(installation.resolve('oidc-provider')));
const { createMemoryAdapter } = await import(
  pathToFileURL(join(process.argv[2], 'node_modules/oidc-provider/lib/adapters/memory_adapter.js')),
);

// Its notices go to stdout by default, which carries nothing but the readiness line here.
console.info = console.error;

const SCOPE = 'openid offline_access';
const lifetimeOf = (ctx, token, client) => client.access_token_lifetime;

// By default it signs ID tokens with a key that everybody knows, and by RS256 only.
const KEYS = [
  generateKeyPairSync('rsa', { modulusLength: 2048 }),
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
].map(({ privateKey }) => privateKey.export({ format: 'jwk' }));

const configuration = {
  adapter: createMemoryAdapter(), // by default each issuer has a memory of its own; this is one for all of them
  // Called after the signature was verified, and before the jti is looked up.
  assertJwtClientAuthClaimsAndHeader(ctx, { aud, jti }, { alg, kid = null }, client) {
    statisticsOf(client.clientId).assertions.push({ alg, kid, aud, jti });
  },
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    userinfo: { enabled: true },
  },
  issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'), // without offline_access too
  jwks: { keys: KEYS },
  rotateRefreshToken: true,
  extraClientMetadata: {
    properties: ['access_token_lifetime'],
    validator(ctx, key, value, metadata) {
      metadata[key] = value ?? 3600;
    },
  },
  ttl: {
    AccessToken: lifetimeOf,
    ClientCredentials: lifetimeOf,
    DeviceCode: 600,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 3600,
    Session: 3600,
  },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: id, email: `${id}@example.com`, email_verified: true }),
  }),
};

// The algorithms leave out what a client would take first: one that does not read the metadata is refused.
const SIGNING_ALGORITHMS = ['PS256', 'ES256', 'Ed25519', 'HS512'];
const TENANTS = [
  {
    path: '/openid/tv',
    document: '/openid/tv/.well-known/openid-configuration',
    clientAuthMethods: ['client_secret_post', 'private_key_jwt'],
  },
  {
    path: '/oauth/tv',
    document: '/.well-known/oauth-authorization-server/oauth/tv',
    clientAuthMethods: ['client_secret_jwt', 'private_key_jwt'],
  },
];

const statistics = new Map();
function statisticsOf(clientId = '') {
  if (!statistics.has(clientId)) {
    statistics.set(clientId, {
      granted: {}, refused: {}, revoked_grants: 0, assertions: [], granted_to_header: 0,
    });
  }
  return statistics.get(clientId);
}

function countUp(counters, name) {
  counters[name] = (counters[name] ?? 0) + 1;
}

const accessTokens = new Map();
function remember(token) {
  accessTokens.set(token.clientId, [...(accessTokens.get(token.clientId) ?? []), token]);
}

function watch(provider) {
  provider.on('grant.success', ({ oidc, headers }) => {
    const seen = statisticsOf(oidc.client.clientId);
    countUp(seen.granted, oidc.params.grant_type);
    if (headers.authorization) seen.granted_to_header += 1;
  });
  // error_detail is the reason that oidc-provider keeps from the client: 'refresh token already used' is a reuse.
  provider.on('grant.error', ({ oidc }, error) => {
    countUp(statisticsOf(oidc.client?.clientId).refused, error.error_detail ?? error.message);
  });
  provider.on('grant.revoked', ({ oidc }) => {
    statisticsOf(oidc.client?.clientId).revoked_grants += 1;
  });
  provider.on('access_token.saved', remember);
  provider.on('client_credentials.saved', remember);
  provider.on('server_error', (ctx, error) => console.error(error));
}

async function registerClient(provider, metadata) {
  const client = new provider.Client(metadata);
  await provider.Client.adapter.upsert(client.clientId, client.metadata());
  return { client_id: client.clientId };
}

async function signIn(provider, { client_id: clientId, account_id: accountId }) {
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ clientId, accountId });
  grant.addOIDCScope(SCOPE);
  const granted = {
    accountId, client, grantId: await grant.save(), gty: 'authorization_code', scope: SCOPE,
  };
  const accessToken = new provider.AccessToken(granted);
  const refreshToken = new provider.RefreshToken(granted);
  return {
    access_token: await accessToken.save(),
    expires_in: accessToken.expiration,
    refresh_token: await refreshToken.save(),
    scope: SCOPE,
    token_type: 'Bearer',
  };
}

async function revokeAccessTokens(provider, { client_id: clientId }) {
  const issued = accessTokens.get(clientId) ?? [];
  const found = await Promise.all(issued.map(({ kind, jti }) => provider[kind].find(jti)));
  const living = found.filter((token) => token?.isValid);
  await Promise.all(living.map((token) => token.destroy()));
  return { revoked: living.length };
}

const documents = {};
function countDocument({ pathname }) {
  if (pathname.includes('/.well-known/')) countUp(documents, pathname);
}

const actions = {
  'POST /admin/clients': registerClient,
  'POST /admin/tokens': signIn,
  'POST /admin/revoke-access-tokens': revokeAccessTokens,
  'GET /admin/stats': (provider, { client_id: clientId }) => statisticsOf(clientId),
  'GET /admin/documents': () => documents,
};

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length ? JSON.parse(Buffer.concat(chunks)) : {};
}

async function act(provider, action, url, request, response) {
  let status = 200;
  let answer;
  try {
    const parameters = { ...Object.fromEntries(url.searchParams), ...await readBody(request) };
    answer = await action(provider, parameters);
  } catch (error) {
    status = 400;
    answer = { error: error.message, error_description: error.error_description };
  }
  const body = JSON.stringify(answer);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function startTenant(top, { path, document, clientAuthMethods }) {
  const provider = new Provider(`${top}${path}`, {
    ...configuration,
    clientAuthMethods,
    enabledJWA: { clientAuthSigningAlgValues: [...SIGNING_ALGORITHMS] },
  });
  watch(provider);
  return { path, document, speakOAuth: provider.callback() };
}

function speakAsTenant({ path, document, speakOAuth }, { pathname }, request, response) {
  if (pathname === document) {
    request.url = '/.well-known/openid-configuration';
  } else if (pathname.includes('/.well-known/')) {
    response.writeHead(404).end();
    return;
  } else {
    request.url = request.url.slice(path.length);
  }
  request.originalUrl = `${path}${request.url}`; // from which oidc-provider learns where it is mounted
  speakOAuth(request, response);
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, configuration);
  watch(provider);
  const speakOAuth = provider.callback();
  const tenants = TENANTS.map((tenant) => startTenant(issuer, tenant));
  server.on('request', (request, response) => {
    const url = new URL(request.url, issuer);
    const action = actions[`${request.method} ${url.pathname}`];
    if (action) return act(provider, action, url, request, response);
    countDocument(url);
    const tenant = tenants.find(({ path, document }) => url.pathname === document || url.pathname.startsWith(`${path}/`));
    return tenant ? speakAsTenant(tenant, url, request, response) : speakOAuth(request, response);
  });
  console.log(JSON.stringify({ ready: true, issuer, port, tenants: TENANTS.map(({ path }) => `${issuer}${path}`) }));
});

// Whoever started the server holds its stdin: it never outlives them.
process.stdin.resume().on('end', () => process.exit(0));
