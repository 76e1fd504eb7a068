import { BrokerError } from '../errors.ts';

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** What a browser says about where a request comes from. */
export interface Sender {
  method: string;
  origin: string | undefined;
  fetch_site: string | undefined;
}

/**
 * Lets a request with a browser's session through only if a page of this origin sent it. Of `Origin` and
 * `Sec-Fetch-Site` at least one must be there, and whichever is must agree. A page may not forge either.
 *
 * @throws BrokerError `cross_site`
 * @see Fetch Standard, "Origin header"; W3C Fetch Metadata Request Headers
 */
export function assertSameOrigin({ method, origin, fetch_site }: Sender, publicUrl: string): void {
  if (SAFE_METHODS.has(method)) return;
  // `null` is what a page sends whose referrer policy is strict: it says nothing, for or against.
  const said = [
    ...(origin === undefined || origin === 'null' ? [] : [origin === new URL(publicUrl).origin]),
    ...(fetch_site === undefined ? [] : [fetch_site === 'same-origin']),
  ];
  if (said.length > 0 && said.every(Boolean)) return;
  throw new BrokerError(
    'cross_site',
    `Send this from a page of ${new URL(publicUrl).origin}: a browser's session changes nothing on behalf of another site.`,
  );
}
