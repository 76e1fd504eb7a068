import { randomUUID } from 'node:crypto';
import { ARCHIVE, DEFAULT_PAGE } from '../http/route.ts';
import type { TokenSource } from './auth/access-token.ts';
import { demandOf } from './auth/step-up.ts';
import type { Token } from './auth/token.ts';
import { CliError, type Problem } from './cli-error.ts';
import type { Io } from './io.ts';
import { NOT_A_BROKER } from './not-a-broker.ts';
import { EXIT, exitOfProblem } from './output/exit-codes.ts';
import { retryAfterMs } from './retry-after.ts';
import { ANSWER_TIMEOUT_MS, arrived, unreachable } from './unreachable.ts';

/** The maximum number of attempts for a call with an Idempotency-Key. */
const ATTEMPTS = 3;
const RETRY_MS = 1000;

/** One call to the broker. */
export interface ClientCall {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** The path below the broker's URL, such as `/v1/requests`. */
  path: string;
  /** Undefined members are left out. */
  query?: Readonly<Record<string, string | undefined>>;
  body?: unknown;
  /** A policy bundle, in place of a body. */
  archive?: Buffer;
  /** Sent as Idempotency-Key. The call is then repeated if it gets no response. `true` generates a new key. */
  idempotencyKey?: string | true;
}

/** The broker's response; the body is null if there is none (204). */
export interface ClientAnswer<T> {
  body: T;
  /** True when the response was stored for an earlier call with the same Idempotency-Key. */
  replayed: boolean;
}

/** One page of a list. */
export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** Calls one broker. */
export interface Client {
  /** @throws CliError with the broker's problem */
  call<T>(call: ClientCall): Promise<ClientAnswer<T>>;
  /** Reads an archive, or a file of the log. @throws CliError with the broker's problem */
  download(path: string): Promise<Buffer>;
  /** Reads a list: one page, or with `all` all pages combined. */
  list<T>(call: { path: string; query: NonNullable<ClientCall['query']>; all: boolean }): Promise<Page<T>>;
}

/**
 * Creates a client.
 *
 * @param deps.onFreeze called once with the freezes that the broker's responses announce
 */
export function createClient(deps: {
  io: Io;
  broker: string;
  tokens: Pick<TokenSource, 'token' | 'renew' | 'stepUp'>;
  onFreeze: (freezes: string) => void;
}): Client {
  const { io, broker, tokens } = deps;
  let freezesShown = false;
  let steppedUp = false;

  async function send<T>(call: ClientCall, key: string | null, token: Token): Promise<ClientAnswer<T>> {
    const response = await fetchAnswer(io, broker, call, key, token);
    if (response.ok && isDocument(response.headers.get('Content-Type'))) {
      return { body: Buffer.from(await arrived(broker, response.arrayBuffer())) as T, replayed: false };
    }
    const freezes = response.headers.get('Countersign-Freeze');
    if (freezes !== null && !freezesShown) {
      freezesShown = true;
      deps.onFreeze(freezes);
    }
    const text = await arrived(broker, response.text());
    const body = response.status === 204 ? null : parseJson(text);
    if (!response.ok || body === undefined) throw toCliError(response, body);
    return {
      body: body as T,
      replayed: response.headers.get('Idempotent-Replayed') === 'true',
    };
  }

  /** Repeats the call once when a new token may satisfy the broker. */
  async function sendWithToken<T>(call: ClientCall, key: string | null): Promise<ClientAnswer<T>> {
    try {
      return await send(call, key, await tokens.token());
    } catch (error) {
      const other = error instanceof CliError ? await anotherToken(error) : null;
      if (other === null) throw error;
      return send(call, key, other);
    }
  }

  /**
   * A token may expire while a command waits, and the platform may issue a new one. A person may step up once per
   * command, because a misconfigured broker could require it forever.
   */
  async function anotherToken({ problem }: CliError): Promise<Token | null> {
    if (problem.code === 'token_invalid') return tokens.renew();
    const demand = steppedUp ? null : demandOf(problem);
    if (demand === null) return null;
    steppedUp = true;
    return tokens.stepUp(demand);
  }

  async function callBroker<T>(call: ClientCall): Promise<ClientAnswer<T>> {
    const key = call.idempotencyKey === true ? randomUUID() : (call.idempotencyKey ?? null);
    const attempts = key === null ? 1 : ATTEMPTS;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await sendWithToken(call, key);
      } catch (error) {
        if (!(error instanceof CliError) || !error.transient || attempt === attempts) throw error;
        await io.sleep(error.retryAfterMs ?? RETRY_MS * attempt);
      }
    }
  }

  return {
    call: callBroker,
    download: async (path) => (await callBroker<Buffer>({ method: 'GET', path })).body,
    list: async <T>({ path, query, all }: Parameters<Client['list']>[0]) => {
      const { body } = await callBroker<Page<T>>({ method: 'GET', path, query });
      const wanted = Number(query.limit ?? DEFAULT_PAGE);
      // A page may be short although there are more.
      while (body.next_cursor !== null && (all || body.items.length < wanted)) {
        const cursor = body.next_cursor;
        const limit = all ? query.limit : String(wanted - body.items.length);
        const next = await callBroker<Page<T>>({ method: 'GET', path, query: { ...query, limit, cursor } });
        body.items.push(...next.body.items);
        body.next_cursor = next.body.next_cursor;
      }
      return body;
    },
  };
}

async function fetchAnswer(
  { fetch }: Io,
  broker: string,
  call: ClientCall,
  key: string | null,
  { value, bound }: Token,
): Promise<Response> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) query.set(name, value);
  }
  const send = (authorization: Readonly<Record<string, string>>): Promise<Response> =>
    fetch(`${broker}${call.path}${query.size === 0 ? '' : `?${query}`}`, {
      method: call.method,
      headers: {
        accept: `application/json, ${ARCHIVE}, application/octet-stream, text/plain`,
        ...authorization,
        ...contentTypeOf(call),
        ...(key === null ? {} : { 'idempotency-key': key }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.archive === undefined ? {} : { body: new Uint8Array(call.archive) }),
      // The token is for this broker only, so redirects are not followed.
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
  try {
    if (bound === null) return await send({ authorization: `Bearer ${value}` });
    const proven = {
      method: call.method,
      htu: new URL(`${bound.issuer}${call.path}`).href,
      accessToken: value,
    };
    return await bound.prover.fetch(proven, (dpop) => send({ authorization: `DPoP ${value}`, dpop }));
  } catch (error) {
    throw unreachable(broker, error);
  }
}

function contentTypeOf({ body, archive }: ClientCall): Record<string, string> {
  if (archive !== undefined) return { 'content-type': ARCHIVE };
  return body === undefined ? {} : { 'content-type': 'application/json' };
}

/** Whether an answer is what {@link Client.download} reads. */
function isDocument(contentType: string | null): boolean {
  return [ARCHIVE, 'application/octet-stream', 'text/plain'].includes(contentType?.split(';')[0] ?? '');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The error for a response that is no success. */
export function toCliError(response: Response, body: unknown): CliError {
  const problem = isProblem(body) ? withoutCommand(body) : notUnderstood(response.status);
  return new CliError(isProblem(body) ? exitOfProblem(problem.code) : EXIT.error, problem, {
    transient: response.status === 429 || response.status >= 502,
    retryAfterMs: retryAfterMs(response),
  });
}

/** What to run is said by this program only. */
function withoutCommand({ command: _, ...problem }: Problem): Problem {
  return problem as Problem;
}

function isProblem(body: unknown): body is Problem {
  if (typeof body !== 'object' || body === null) return false;
  const { code, title, detail } = body as Partial<Problem>;
  return [code, title, detail].every((member) => typeof member === 'string');
}

function notUnderstood(status: number): Problem {
  return {
    ...NOT_A_BROKER,
    detail: `The response has status ${status} and is not broker JSON. Check whether a proxy intervened, or whether the URL belongs to another service.`,
    status,
  };
}
