import { isSecret } from './secrets.ts';

/**
 * The prefix keeps a browser from taking these cookies from anywhere but this very host over a secure connection, with
 * no domain and no narrower path: a neighbouring host cannot set one.
 *
 * @see RFC 6265bis section 4.1.3.2
 */
export const SESSION_COOKIE = '__Host-countersign-session';
const SIGN_IN_COOKIE = /^__Host-countersign-sign-in-[\w-]{8}$/;

/** The most sign-ins that one browser has under way: together their cookies must not push out others. */
const MAX_SIGN_INS = 8;

/**
 * Ties the provider's answer to the browser that asked; gone once it came. Each sign-in has its own, so that several tabs
 * can sign in at once. The `state` comes back with the answer, so it finds the cookie; that it belongs to its secret is
 * for the sign-in to check.
 */
export function signInCookie(state: string): string {
  return `__Host-countersign-sign-in-${state.slice(0, 8)}`;
}

/** The cookies of sign-ins that a browser never finished and that have become too many. */
export function surplusSignIns(header: string | undefined): string[] {
  const names = pairsOf(header).map((pair) => pair.slice(0, Math.max(0, pair.indexOf('='))));
  const underWay = [...new Set(names)].filter((name) => SIGN_IN_COOKIE.test(name));
  return underWay.length < MAX_SIGN_INS ? [] : underWay;
}

/**
 * The attributes of both. `Lax`, because the provider's answer is a navigation from its site to ours; what changes
 * something is guarded by {@link ./cross-site.ts} besides.
 */
export const COOKIE_ATTRIBUTES = { secure: true, httpOnly: true, sameSite: 'lax', path: '/' } as const;

/**
 * What may stand around a cookie. No other space is taken away: browsers guard the prefix only where a name begins with
 * it, so a neighbouring host can set `\u00a0__Host-…`, and that must not become the name that only we can set.
 */
const AROUND = /^[ \t]+|[ \t]+$/g;

function pairsOf(header: string | undefined): string[] {
  return (header ?? '').split(';').map((pair) => pair.replace(AROUND, ''));
}

/** The values that a `Cookie` header gives a name, each as it stands. */
function valuesOf(header: string | undefined, name: string): string[] {
  return pairsOf(header)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
}

/** Whether a request brings a cookie of that name at all. */
export function hasCookie(header: string | undefined, name: string): boolean {
  return valuesOf(header, name).length > 0;
}

/**
 * The secret that a cookie carries, or null: there is none, it is none of ours, or there are two, of which nobody could
 * say which one counts.
 */
export function readSecret(header: string | undefined, name: string): string | null {
  const [value, ...more] = valuesOf(header, name);
  return value !== undefined && more.length === 0 && isSecret(value) ? value : null;
}
