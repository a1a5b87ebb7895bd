// What Node and a page have in common: tokens, errors, retries, a watch that misses nothing. Knows no transport.
import { Code, ConnectError, createClient, type Client, type Interceptor, type Transport } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../gen/google/rpc/error_details_pb.js';
import { TenantService, type TenantEvent } from '../gen/landlord/v1/tenant_pb.js';

/** Errors after which the same call may succeed; with a requestId also one that changes something. */
const RETRYABLE = new Set([Code.Unavailable, Code.Aborted]);
export const DEADLINE_MS = 20_000;

export type Tenants = Client<typeof TenantService>;
export const tenantsOver = (transport: Transport): Tenants => createClient(TenantService, transport);
export const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** Shows a token with every call, and has another one fetched before it ends; of several calls one fetches. */
export class Tokens {
  fetched = 0;
  private token?: Promise<string>;
  private renewAt = 0;

  constructor(private readonly fetchToken: () => Promise<{ access_token: string; expires_in?: number }>) {}

  expire() {
    this.renewAt = 0;
  }

  get(): Promise<string> {
    if (!this.token || Date.now() >= this.renewAt) {
      this.renewAt = Infinity;
      this.token = this.fetchToken().then((answer) => {
        this.fetched += 1;
        this.renewAt = Date.now() + ((answer.expires_in ?? 60) * 1000) / 2;
        return answer.access_token;
      });
      this.token.catch(() => (this.renewAt = 0));
    }
    return this.token;
  }

  readonly interceptor: Interceptor = (next) => async (request) => {
    request.header.set('authorization', `Bearer ${await this.get()}`);
    return next(request);
  };
}

/** What an error says to machines: its reason, and fields that are wrong. */
export function details(error: ConnectError): { reason: string; fields: string[] } {
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? '';
  const fields = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations.map((violation) => violation.field));
  return { reason, fields: fields.sort() };
}

/** How long to wait before the same call again: as the daemon says, else `usual`; undefined: it would fail again. */
export function retryAfter(error: ConnectError, usual: number): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay) return Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  // Without RetryInfo, RESOURCE_EXHAUSTED is a quota or a message that is too large: nothing that goes by itself.
  return RETRYABLE.has(error.code) ? usual : undefined;
}

/** Calls until it succeeds or can't; waits longer each time. */
export async function again<T>(call: (options: { timeoutMs: number }) => Promise<T>): Promise<T> {
  for (const wait of [500, 1000, 2000, 4000]) {
    try {
      return await call({ timeoutMs: DEADLINE_MS });
    } catch (error) {
      const delay = retryAfter(ConnectError.from(error), wait);
      if (delay === undefined || delay > DEADLINE_MS) throw error;
      await sleep(delay);
    }
  }
  return call({ timeoutMs: DEADLINE_MS });
}

/** What happens to a customer's tenants, without a gap: a broken stream goes on where it was. */
export class Watch {
  private resumeToken = '';
  private connection = new AbortController();
  private stopped = false;

  constructor(private readonly tenants: Tenants, private readonly parent: string) {}

  /** As a lost connection would. */
  break() {
    this.connection.abort();
  }

  stop() {
    this.stopped = true;
    this.connection.abort();
  }

  /** `begun`: called when what happens from now on is seen. */
  async *events(begun: () => void = () => {}): AsyncGenerator<TenantEvent> {
    while (!this.stopped) {
      let delay: number | undefined = 200;
      this.connection = new AbortController();
      try {
        const request = { parent: this.parent, resumeToken: this.resumeToken };
        // No deadline: it is meant to last.
        for await (const message of this.tenants.watchTenants(request, { signal: this.connection.signal })) {
          this.resumeToken = message.resumeToken;
          begun();
          if (message.event) yield message.event;
        }
      } catch (error) {
        const broken = ConnectError.from(error);
        if (broken.code !== Code.Canceled && broken.code !== Code.Unauthenticated) delay = retryAfter(broken, delay);
        // OutOfRange: older than what is kept; list again, and watch without a token.
        if (delay === undefined) throw error;
      }
      await sleep(delay);
    }
  }
}

/** Orders a tenant and follows it until it is READY or FAILED. `say` is told each step. */
export async function order(
  tenants: Tenants, [customer, tenantId, tenantClass]: string[], requestId: string, say: (line: string) => void,
): Promise<string> {
  const parent = `customers/${customer}`;
  const name = `${parent}/tenants/${tenantId}`;
  // Watch first, then list: what happens in between is in the watch.
  const watch = new Watch(tenants, parent);
  let begun = () => {};
  const watching = new Promise<void>((done) => (begun = done));
  const end = (async () => {
    let broken = false;
    for await (const event of watch.events(begun)) {
      if (event.tenant !== name) continue;
      if (!broken) {
        broken = true;
        watch.break();
      }
      if (event.reason === 'Ready' || event.reason === 'Failed') return event.reason;
    }
    return 'Stopped';
  })();
  await Promise.race([watching, end]);
  say(`listed ${(await again((options) => tenants.listTenants({ parent }, options))).tenants.length}`);
  try {
    const tenant = { tenantClass, domain: 'not a domain', storageGib: -1 };
    await tenants.createTenant({ parent, tenantId: 'Wrong', tenant }, { timeoutMs: DEADLINE_MS });
  } catch (error) {
    const { reason, fields } = details(ConnectError.from(error));
    say(`refused ${reason} ${fields.join(' ')}`);
  }
  // The same requestId is the same order, however often it is sent: no answer does not mean no order.
  const tenant = { tenantClass, domain: `${tenantId}.${customer}.example.com`, storageGib: 10 };
  const send = () => again((options) => tenants.createTenant({ parent, tenantId, requestId, tenant }, options));
  const operation = (await send()).name;
  say(`ordered once ${(await send()).name === operation}`);
  say(`${await end} by watch, resumed`);
  watch.stop();
  return name;
}
