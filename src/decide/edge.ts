import type { ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { Cursors } from '../http/cursor.ts';
import type { CallerKind, RouteShape } from '../http/route.ts';
import type { Caller, RequestCredentials } from '../identity/credential.ts';
import type { DataCaller } from '../identity/data-callers.ts';
import type { Lane } from '../operations.ts';
import type { CookieChange } from '../sessions/cookies.ts';
import type { Call, CallIds, ControlDeps, Named, WriteContext } from './control.ts';
import type { Refused } from './refused.ts';

/** The dependencies of the routes of the control and audit planes. */
export interface Edge {
  control: ControlDeps;
  /**
   * @param lane the lane of the call; default `ordinary`
   * @throws BrokerError `unauthenticated`, `token_invalid`, `issuer_unavailable`, `rate_limited`
   */
  authenticate(presented: RequestCredentials, lane?: Lane): Promise<Caller>;
  /**
   * The bearer of a token of audience `data:<environment>`.
   *
   * @throws BrokerError `unauthenticated`, `token_invalid`
   */
  authenticateData(presented: RequestCredentials): Promise<DataCaller>;
  /** Whether a request has the cookie of a browser session, valid or not. */
  hasSession(presented: RequestCredentials): boolean;
  cursors: Cursors;
  /** The header about the active freezes that the caller may see, or null. */
  freezesSeenBy(call: Call): Promise<string | null>;
}

/** What a handler is given: the parsed request. No handler sees the request itself. */
export interface Given<Params = object, Query = object, Body = unknown, Who = Call> {
  params: Params;
  query: Query;
  body: Body;
  /** The authenticated caller; null for a route without a caller, and for one of the data plane. */
  call: Who;
  /** Who reads flags; null for every other route. */
  reader: DataCaller | null;
  request: RequestFacts;
  /** The `If-Match` header. */
  ifMatch: string | undefined;
  /** The `If-None-Match` header. */
  ifNoneMatch: string | undefined;
  /** Of a list: the maximum number of items, and the position that the cursor names. */
  page: { limit: number; place: string | number | null };
  /** Of a route that streams: lets a stream take the response. */
  stream(open: (res: ServerResponse) => Promise<void>): Promise<void>;
  /**
   * Runs a write of this caller. If the route is `idempotent`, a retry with the same `Idempotency-Key` gets the first
   * answer, and the work is not done again.
   *
   * @throws BrokerError if the work returns a {@link Refused}; its record is committed
   */
  write<T>(work: (writing: WriteContext) => Promise<T | Refused>): Promise<T>;
}

/** The facts of an HTTP request that pages and token endpoints need. */
export interface RequestFacts {
  ids: CallIds & { http_request_id: string };
  /** Path and query as they were sent. */
  target: string;
  presented: RequestCredentials;
  user_agent: string;
  /** The `Last-Event-ID` header: where a client of a stream goes on. */
  last_event_id: string | undefined;
}

/** An answer; text is sent as it is, everything else as JSON. */
export interface Reply<Body> {
  body: Body;
  /** Default: the route's `success`. */
  status?: number;
  headers?: Readonly<Record<string, string>>;
  cookies?: readonly CookieChange[];
}

/** One page of a list. */
export interface Page<Item> {
  items: readonly Item[];
  /** The position of the next page, or null. */
  next: string | number | null;
}

/**
 * One page of a list. Queries leave out what the caller may not see, so that neither the size of a page nor its cursor
 * tells of it.
 *
 * @param page.rows one row more than `limit` if there is a next page
 */
export function pageOf<Row, Item>(
  limit: number,
  page: { rows: readonly Row[]; view: (row: Row) => Item; next: (row: Row) => string | number },
): Page<Item> {
  const rows = page.rows.slice(0, limit);
  const last = rows.at(-1);
  return {
    items: rows.map(page.view),
    next: page.rows.length > limit && last !== undefined ? page.next(last) : null,
  };
}

type NoParams = z.ZodObject<Record<never, never>>;
/** Over HTTP, every caller has a credential. */
type WhoOf<Who extends CallerKind | null> = Who extends null | 'data' ? null : Call & Caller;
type Others = Readonly<Record<number, z.ZodType>>;

/** A route with the types of its schemas. */
interface TypedRoute<
  Deps,
  Name extends string,
  Who extends CallerKind | null,
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType,
  A extends z.ZodType,
  M extends Others,
> extends Omit<
    RouteShape,
    'name' | 'caller' | 'params' | 'query' | 'body' | 'answer' | 'also' | 'etag' | 'location' | 'paged'
  > {
  readonly name: Name;
  readonly caller: Who;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly answer: A;
  readonly also?: M;
  etag?(body: z.output<A>): string;
  location?(body: z.output<A>): string;
  /**
   * Loads what a call names. A refusal by the handler tells a caller who may not see it no more than a refusal about
   * something that does not exist.
   */
  namedBy?(
    deps: Deps,
    given: Given<z.output<P>, z.output<Q>, z.output<B>, WhoOf<Who>>,
  ): Promise<readonly Named[]>;
}

/** A call that is not a list. */
interface CallRoute<
  Deps,
  Name extends string,
  Who extends CallerKind | null,
  P extends z.ZodObject,
  Q extends z.ZodObject,
  B extends z.ZodType,
  A extends z.ZodType,
  M extends Others,
> extends TypedRoute<Deps, Name, Who, P, Q, B, A, M> {
  handle(
    deps: Deps,
    given: Given<z.output<P>, z.output<Q>, z.output<B>, WhoOf<Who>>,
  ): Promise<Reply<z.output<A> | z.output<M[keyof M]>>>;
}

/** A list; its answer schema is that of one item. */
interface ListRoute<
  Deps,
  Name extends string,
  Who extends CallerKind | null,
  P extends z.ZodObject,
  Q extends z.ZodObject,
  A extends z.ZodType,
> extends TypedRoute<Deps, Name, Who, P, Q, z.ZodUndefined, A, Record<never, never>> {
  readonly paged: true;
  handle(
    deps: Deps,
    given: Given<z.output<P>, z.output<Q>, undefined, WhoOf<Who>>,
  ): Promise<Page<z.output<A>>>;
}

/** An entry may state for itself what its domain has in common. */
type Entry<R extends RouteShape> = Omit<R, keyof Common | 'paged'> & Partial<Common>;

/** Any route with these dependencies. */
export interface Route<Deps> extends RouteShape {
  namedBy?(deps: Deps, given: Given<never, never, never, never>): Promise<readonly Named[]>;
  handle(deps: Deps, given: Given<never, never, never, never>): Promise<Reply<unknown> | Page<unknown>>;
}

/** What the routes of a domain have in common. */
type Common = Pick<RouteShape, 'tag' | 'format' | 'since'>;

/**
 * The builders of a domain's routes: `route` for a call, `list` for one page of a list. They infer the types of handlers
 * from the schemas, and add what the routes have in common.
 */
export function routesFor<Deps>(common: Common) {
  return {
    route: <
      const Name extends string,
      const Who extends CallerKind | null,
      A extends z.ZodType,
      P extends z.ZodObject = NoParams,
      Q extends z.ZodObject = NoParams,
      B extends z.ZodType = z.ZodUndefined,
      M extends Others = Record<never, never>,
    >(
      entry: Entry<CallRoute<Deps, Name, Who, P, Q, B, A, M>>,
    ): CallRoute<Deps, Name, Who, P, Q, B, A, M> => ({ ...common, ...entry }),
    list: <
      const Name extends string,
      const Who extends CallerKind | null,
      A extends z.ZodType,
      P extends z.ZodObject = NoParams,
      Q extends z.ZodObject = NoParams,
    >(
      entry: Entry<ListRoute<Deps, Name, Who, P, Q, A>>,
    ): ListRoute<Deps, Name, Who, P, Q, A> => ({ ...common, ...entry, paged: true }),
  };
}
