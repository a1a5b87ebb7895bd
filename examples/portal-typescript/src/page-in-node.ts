// The page's calls without a browser: gRPC-Web as a browser sends it, its Origin header included. page-in-node.ts CUSTOMER TENANT CLASS
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConnectError } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-node';
import { order, tenantsOver, Tokens } from './portal-session.js';

const env = (name: string) => process.env[name] ?? (() => { throw new Error(`${name} is not set`); })();
const tokens = new Tokens(async () => {
  const client_secret = readFileSync(env('CLIENT_SECRET_FILE'), 'utf8').trim();
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: env('CLIENT_ID'), client_secret });
  return await (await fetch(env('TOKEN_URL'), { method: 'POST', body })).json() as { access_token: string };
});
const over = (origin: string) => tenantsOver(createGrpcWebTransport({
  baseUrl: `https://${env('LANDLORD_SERVER')}`,
  httpVersion: '2',
  nodeOptions: { ca: readFileSync(env('LANDLORD_CA_FILE')) },
  interceptors: [tokens.interceptor, (next) => (request) => {
    request.header.set('origin', origin);
    return next(request);
  }],
}));
const parent = `customers/${process.argv[2]}`;
await over('https://evil.example.com').listTenants({ parent }).then(
  () => console.log('another origin was let in'),
  (error) => console.log(`another origin: ${ConnectError.from(error).rawMessage}`),
);
await order(over(env('ORIGIN')), process.argv.slice(2), randomUUID(), console.log);
process.exit(0);
