import { BrokerError } from '../errors.ts';

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** The headers with which a browser states the origin of a request. */
export interface Sender {
  method: string;
  origin: string | undefined;
  fetch_site: string | undefined;
}

/**
 * Requires that a state-changing request with a browser session comes from a page of this origin. At least one of
 * `Origin` and `Sec-Fetch-Site` must be present, and each one present must match. A page cannot forge either.
 *
 * @throws BrokerError `cross_site`
 * @see Fetch Standard, "Origin header"; W3C Fetch Metadata Request Headers
 */
export function assertSameOrigin({ method, origin, fetch_site }: Sender, publicUrl: string): void {
  if (SAFE_METHODS.has(method)) return;
  // A page with a strict referrer policy sends `null`, which proves nothing either way.
  const said = [
    ...(origin === undefined || origin === 'null' ? [] : [origin === new URL(publicUrl).origin]),
    ...(fetch_site === undefined ? [] : [fetch_site === 'same-origin']),
  ];
  if (said.length > 0 && said.every(Boolean)) return;
  throw new BrokerError(
    'cross_site',
    `Send this request from a page of ${new URL(publicUrl).origin}. Requests from other sites cannot use a browser session.`,
  );
}
