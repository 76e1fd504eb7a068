import type { AnswerOf, BodyOf, ListName, ParamsOf, QueryOf } from '../../routes.ts';
import { CALLS, type CallName } from './calls.ts';
import { Fault, faultOfAnswer } from './fault.ts';
import { noteFreezes } from './freezes.ts';

/** The names of members without which an object is whole. */
type Optional<T> = Record<never, never> extends T ? true : false;
type Part<Name extends string, T> = Optional<T> extends true ? { [N in Name]?: T } : { [N in Name]: T };
/** A record that may have no members would refuse those of pages. */
type Members<T> = T extends Record<string, never> ? object : T;
type Paged<Name extends CallName> = Name extends ListName ? { limit?: number; cursor?: string } : object;

/** What a call takes: parameters of its path and query, and its body. */
export type Given<Name extends CallName> = Part<'params', ParamsOf<Name>> &
  Part<'query', Members<QueryOf<Name>> & Paged<Name>> &
  (BodyOf<Name> extends undefined ? { body?: undefined } : { body: BodyOf<Name> }) & {
    signal?: AbortSignal;
    /** Makes a retry get the first answer. */
    idempotencyKey?: string;
  };

/** One page of a list. */
export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** What a call answers. */
export type Answer<Name extends CallName> = Name extends ListName ? Page<AnswerOf<Name>> : AnswerOf<Name>;

/**
 * Calls the broker with the session of this browser. The types of what goes and comes are those of the route list.
 *
 * @throws Fault for every refusal, and if no answer came
 */
export async function api<Name extends CallName>(
  name: Name,
  given: Record<never, never> extends Given<Name> ? Given<Name> | undefined : Given<Name>,
): Promise<Answer<Name>> {
  const { params, query, body, signal, idempotencyKey } = (given ?? {}) as LooseGiven;
  const [method = 'GET', path = ''] = CALLS[name].split(' ');
  const isChange = method !== 'GET';
  const response = await fetch(filled(path, params) + encoded(query), {
    method,
    // Of a page of another site, browsers ask the broker before they send this type, and it permits nothing.
    headers: {
      Accept: 'application/json',
      ...(isChange ? { 'Content-Type': 'application/json' } : {}),
      ...(idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey }),
    },
    ...(isChange ? { body: JSON.stringify(body ?? {}) } : {}),
    ...(signal === undefined ? {} : { signal }),
    credentials: 'same-origin',
    redirect: 'error',
  }).catch((error: unknown) => {
    if (signal?.aborted === true) throw error;
    throw Fault.unreachable();
  });
  const freezes = response.headers.get('Countersign-Freeze');
  // Of an answer that another than the broker gave, its lack says nothing.
  if (response.ok || freezes !== null) noteFreezes(freezes);
  if (!response.ok) throw await faultOfAnswer(response);
  if (response.status === 204) return undefined as Answer<Name>;
  return (await response.json()) as Answer<Name>;
}

interface LooseGiven {
  params?: Readonly<Record<string, string>>;
  query?: Readonly<Record<string, unknown>>;
  body?: unknown;
  signal?: AbortSignal;
  idempotencyKey?: string;
}

function filled(path: string, params: LooseGiven['params'] = {}): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''));
}

/** A list is sent as several parameters of its name. */
function encoded(query: LooseGiven['query'] = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((each) => each !== undefined && each !== '')
      .map((each) => [name, String(each)]),
  );
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}
