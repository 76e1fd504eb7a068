import { isOpen } from '../../requests/states.ts';
import type { RequestView } from '../../requests/view.ts';
import { followUp } from '../auth/exchange.ts';
import type { Context } from '../cli.ts';
import { CliError, usageError } from '../cli-error.ts';
import { type Client, createClient } from '../client.ts';
import { moment, printable } from '../output/text.ts';

const FIRST_POLL_MS = 2_000;
const LONGEST_POLL_MS = 15_000;
const POLL_GROWTH = 1.5;

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Parses a duration such as `90s`, `30m` or `2h` into milliseconds. @throws CliError `usage` */
export function parseDuration(text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([smh])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (unitMs === undefined) throw usageError(`Invalid duration "${text}". Write it as 90s, 30m or 2h.`);
  return Number(count) * unitMs;
}

/**
 * Waits until the request is applied or otherwise closed, or the timeout passes. Reports each change of its state or
 * gates. Retries when the broker is temporarily unreachable or limits the rate. A caller whose token ends meanwhile has lost
 * sight of the request, which nobody has denied.
 *
 * @returns the request as last read
 * @throws CliError when the broker refuses the read
 */
export async function waitUntilClosed(
  context: Context,
  { request, timeoutMs }: { request: RequestView; timeoutMs: number },
): Promise<RequestView> {
  const { io, note } = context;
  const deadlineMs = io.clock() + timeoutMs;
  const client = await readerOf(context, { request, deadlineMs });
  let latest = request;
  let shown = '';
  let delayMs = FIRST_POLL_MS;
  while (isOpen(latest)) {
    const standing = describeStanding(latest);
    if (standing !== shown) note(standing);
    shown = standing;
    const leftMs = deadlineMs - io.clock();
    if (leftMs <= 0) {
      note('Timed out. The request remains open.');
      return latest;
    }
    await io.sleep(Math.min(delayMs, leftMs));
    delayMs = Math.min(delayMs * POLL_GROWTH, LONGEST_POLL_MS);
    try {
      ({ body: latest } = await client.call<RequestView>({
        method: 'GET',
        path: `/v1/requests/${request.id}`,
      }));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      if (LOST_SIGHT.has(error.problem.code)) {
        note(lostSight(latest, error));
        return latest;
      }
      if (!error.transient) throw error;
      note(`retrying: ${printable(error.problem.detail)}`);
      delayMs = Math.max(delayMs, error.retryAfterMs ?? 0);
    }
  }
  note(`${latest.id} is ${latest.state}`);
  return latest;
}

/** How often it is asked what relays serve: they report within a second. */
const SERVED_POLL_MS = 1_000;

/**
 * Waits until an applied change was read back, and every relay that is connected serves it. Names the relays that lag.
 *
 * @returns the request as last read, and whether all of that is so
 * @throws CliError when the broker refuses the read
 */
export async function waitUntilServed(
  { io, client, note }: Context,
  { request, deadlineMs }: { request: RequestView; deadlineMs: number },
): Promise<{ request: RequestView; isServed: boolean }> {
  let latest = request;
  let shown = '';
  for (;;) {
    try {
      ({ body: latest } = await client.call<RequestView>({
        method: 'GET',
        path: `/v1/requests/${request.id}`,
      }));
      const missing = describeUnserved(latest);
      if (missing.length === 0) {
        note(`${latest.id} is served${describeDelay(latest)}`);
        return { request: latest, isServed: true };
      }
      const standing = missing.join('; ');
      if (standing !== shown) note(`${latest.id} is applied, waiting: ${standing}`);
      shown = standing;
      if (latest.receipts?.some(({ state }) => state === 'diverged'))
        return { request: latest, isServed: false };
    } catch (error) {
      if (!(error instanceof CliError) || !error.transient) throw error;
      note(`retrying: ${printable(error.problem.detail)}`);
    }
    const leftMs = deadlineMs - io.clock();
    if (leftMs <= 0) {
      note(`Timed out. The request is applied. Not everywhere served: ${shown}`);
      return { request: latest, isServed: false };
    }
    await io.sleep(Math.min(SERVED_POLL_MS, leftMs));
  }
}

/** What is missing until an applied change is served everywhere; a request that changed no states of flags lacks nothing. */
function describeUnserved({ receipts = [] }: RequestView): string[] {
  return receipts.flatMap(({ environment, version, state, relays }) => {
    const where = printable(environment);
    const broker: Readonly<Record<typeof state, string[]>> = {
      verified: [],
      pending: [`the broker has not read ${where} back yet`],
      unverified: [`the broker could not read ${where} back`],
      diverged: [`what the broker serves in ${where} is not what was written`],
    };
    const waiting = relays.waiting.map((relay) => printable(relay)).join(', ');
    return [
      ...broker[state],
      ...(waiting === '' ? [] : [`version ${version} of ${where} is not served by the relays ${waiting}`]),
    ];
  });
}

function describeDelay({ receipts = [] }: RequestView): string {
  const last = Math.max(-1, ...receipts.map(({ relays }) => relays.last_after_ms ?? -1));
  return last < 0 ? '' : `, by the last relay ${last} ms after it was applied`;
}

/**
 * Calls the broker until the deadline. A job whose platform gives it one token only has a token for this request, if its own
 * would end before; without one, its own has to do.
 */
async function readerOf(
  { io, broker, client, tokens, note }: Context,
  { request, deadlineMs }: { request: RequestView; deadlineMs: number },
): Promise<Client> {
  const endsMs = tokens.endsMs();
  if (endsMs === null || endsMs >= deadlineMs || !isOpen(request)) return client;
  const token = await tokens.token();
  const following = await followUp(io, broker, { token, requestId: request.id }).catch(() => null);
  const lastMs = following?.endsMs ?? endsMs;
  // Said now, while somebody may still choose another timeout or look from elsewhere.
  if (lastMs < deadlineMs)
    note(
      `This command can follow the request until ${moment(lastMs)} only, which is sooner than its timeout: then its token ends. The request goes on without it.`,
    );
  if (following === null) return client;
  const source = { token: async () => following.token, renew: async () => null, stepUp: async () => null };
  return createClient({ io, broker, tokens: source, onFreeze: () => undefined });
}

/** The codes of a caller who was accepted before, and is not any more. */
const LOST_SIGHT: ReadonlySet<string> = new Set([
  'unauthenticated',
  'token_invalid',
  'token_exchange_refused',
  'platform_token_missing',
  'platform_token_used',
  'not_signed_in',
  'sign_in_expired',
  'provider_unreachable',
]);

function lostSight({ id, state }: RequestView, { problem }: CliError): string {
  return `The request was ${state} when it was last read. This command can follow it no further: its token has expired or was revoked (${problem.code}), and there is no other. The request goes on without it. See: countersign show ${id}`;
}

function describeStanding({ id, state, gates }: RequestView): string {
  const missing = gates.map((gate) => `${gate.code}, cleared by: ${printable(gate.cleared_by)}`).join('; ');
  return `${id} is ${state}${missing === '' ? '' : `, missing: ${missing}`}`;
}
