// A page in a browser: calls landlord itself, by gRPC-Web over the port of gRPC. Its origin stands in `server.web_origins`.
// `token`: of whoever is logged in on the page, from its issuer's library.
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { order, tenantsOver, Tokens } from './portal-session.js';

export async function orderFromPage(
  server: string, ordered: [string, string, string], token: () => Promise<{ access_token: string; expires_in?: number }>,
  say: (line: string) => void,
): Promise<string> {
  const transport = createGrpcWebTransport({ baseUrl: server, interceptors: [new Tokens(token).interceptor] });
  return order(tenantsOver(transport), ordered, crypto.randomUUID(), say);
}
