import type { Attempt } from '../../src/http/route.ts';
import { bodyTypeOf } from '../../src/http/route.ts';
import type { ListedRoute } from '../../src/routes.ts';
import type { SurfaceBench } from './bench.ts';
import { EXAMPLES, type Prepared } from './examples.ts';

/** An answer, whatever its format. */
export interface Sent {
  status: number;
  /** The parsed body of a JSON answer; null for any other. */
  body: Record<string, unknown> | null;
  text: string;
  headers: Headers;
}

/** Makes one call of the list with these headers as the credential. */
export async function send(
  { t }: SurfaceBench,
  route: ListedRoute,
  { params = {}, query = {}, body, headers = {} }: Prepared,
  credential: Readonly<Record<string, string>>,
): Promise<Sent> {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    (name === route.spans ? encodeURI : encodeURIComponent)(params[name] ?? ''),
  );
  const search = new URLSearchParams(query);
  const isForm = body instanceof URLSearchParams;
  const response = await fetch(`${t.url}${path}${search.size === 0 ? '' : `?${search}`}`, {
    method: route.method,
    redirect: 'manual',
    headers: {
      ...(body === undefined || isForm ? {} : { 'content-type': bodyTypeOf(route) }),
      ...headers,
      ...credential,
    },
    ...(body === undefined ? {} : { body: isForm || Buffer.isBuffer(body) ? body : JSON.stringify(body) }),
  });
  const text = await textOf(response);
  return { status: response.status, text, body: jsonOf(text), headers: response.headers };
}

/** A stream has no end: of one, what comes first. */
async function textOf(response: Response): Promise<string> {
  if (response.body === null || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
    return response.text();
  }
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value);
}

function jsonOf(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** The credential of a caller who may make the call. */
export async function validCredential(
  bench: SurfaceBench,
  route: ListedRoute,
): Promise<Record<string, string>> {
  const { t } = bench;
  const { who, bySession = false } = EXAMPLES[route.name];
  switch (bySession ? 'session' : route.caller) {
    case null:
      return {};
    case 'data':
      return bearer(await t.workloadToken('checkout', { audience: 'data:production' }));
    case 'session':
      return { cookie: (await bench.session(personOf(who))).cookie, origin: t.url };
    case 'any':
      return bearer(await tokenOf(bench, who));
  }
}

function personOf(who: string): string {
  return who.split('+')[0] ?? who;
}

function tokenOf({ t }: SurfaceBench, who: string): Promise<string> {
  return t.people.idToken(personOf(who), { mfa: who.endsWith('+mfa') });
}

/** What an attempt shows in place of the valid credential; the valid one for attempts on the broker's state. */
export async function attemptCredential(
  bench: SurfaceBench,
  route: ListedRoute,
  { attempt, prepared }: { attempt: Attempt; prepared: Prepared },
): Promise<Record<string, string>> {
  const { who } = EXAMPLES[route.name];
  const { caller, format } = route;
  // There, the credential is a cookie that the example changes. A token beside it would be ambiguous.
  const isCookie = prepared.headers?.cookie !== undefined || attempt === 'no_token' || attempt === 'garbage';
  if (caller === null && format === 'page' && isCookie && attempt !== 'foreign_origin') return {};
  switch (attempt) {
    case 'no_token':
      return {};
    case 'garbage':
      return bearer('not.a.token');
    case 'no_role':
      return bearer(await (caller === 'data' ? tokenOf(bench, 'dana') : bench.strangerToken()));
    case 'wrong_audience':
      return bearer(
        await (caller === 'data' ? bench.t.workloadToken('payments') : bench.foreignToken(personOf(who))),
      );
    case 'no_proof':
      return bearer(await bench.boundToken());
    case 'foreign_origin': {
      const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
      if (caller === null) return foreign;
      return { ...foreign, cookie: (await bench.session(caller === 'data' ? 'dana' : personOf(who))).cookie };
    }
    default:
      return validCredential(bench, route);
  }
}
