// A portal on Node: portal.ts CUSTOMER TENANT CLASS. The environment names daemon, issuer and secrets; see README.md.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Webhook } from 'standardwebhooks';
import { Tenant_State } from '../gen/landlord/v1/tenant_pb.js';
import { again, order, tenantsOver, Tokens } from './portal-session.js';

const env = (name: string) => process.env[name] ?? (() => { throw new Error(`${name} is not set`); })();
const file = (variable: string) => readFileSync(env(variable), 'utf8').trim();

export const tokens = new Tokens(async () => {
  const body = new URLSearchParams({
    grant_type: 'client_credentials', client_id: env('CLIENT_ID'), client_secret: file('CLIENT_SECRET_FILE'),
  });
  const response = await fetch(env('TOKEN_URL'), { method: 'POST', body, signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`the issuer answered ${response.status}`);
  return await response.json() as { access_token: string; expires_in?: number };
});

type Event = { type: string; subject: string };

/** Takes events that are signed, each once. */
function serveWebhooks(secret: string, take: (event: Event) => void) {
  const webhook = new Webhook(secret);
  const seen = new Set<string>();
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
      if (body.length > 1 << 20) return void response.writeHead(413).end();
    }
    try {
      const event = webhook.verify(body, request.headers as Record<string, string>) as Event;
      // A portal would keep these ids as long as landlord repeats: it may send an event twice.
      const id = request.headers['webhook-id'] as string;
      if (!seen.has(id)) take(event);
      seen.add(id);
      response.writeHead(204).end();
    } catch {
      response.writeHead(401).end();
    }
  });
  server.listen(Number(env('WEBHOOK_PORT')), '127.0.0.1');
  return server;
}

const [customer, tenantId, tenantClass] = process.argv.slice(2);
const name = `customers/${customer}/tenants/${tenantId}`;
let told = (_: string) => {};
const ready = new Promise<string>((done) => (told = done));
const server = serveWebhooks(file('WEBHOOK_SECRET_FILE'), (event) => {
  if (event.subject === name && /\.(ready|failed)$/.test(event.type)) told(event.type);
});
const tenants = tenantsOver(createGrpcTransport({
  baseUrl: `https://${env('LANDLORD_SERVER')}`,
  nodeOptions: { ca: readFileSync(env('LANDLORD_CA_FILE')) },
  interceptors: [tokens.interceptor],
  // Notices a daemon that vanished.
  pingIntervalMs: 60_000, pingTimeoutMs: 20_000, pingIdleConnection: true,
}));
await order(tenants, [customer, tenantId, tenantClass], randomUUID(), console.log);
console.log(`${await ready} by webhook`);
tokens.expire();
const { state } = await again((options) => tenants.getTenant({ name }, options));
console.log(`${Tenant_State[state]} with token ${tokens.fetched}`);
server.close();
process.exit(0);
