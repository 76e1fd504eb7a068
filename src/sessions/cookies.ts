import { isSecret } from './secrets.ts';

/**
 * With this prefix, browsers accept the cookies only from this host over a secure connection, without a domain and with
 * path `/`. A sibling host cannot set them.
 *
 * @see RFC 6265bis section 4.1.3.2
 */
export const SESSION_COOKIE = '__Host-countersign-session';
const SIGN_IN_COOKIE = /^__Host-countersign-sign-in-[\w-]{8}$/;

/** The maximum number of pending sign-ins per browser. Their cookies together must not evict others. */
const MAX_SIGN_INS = 8;

/**
 * Binds the provider's response to the browser that started the sign-in. The cookie is removed with the response. Each
 * sign-in has its own cookie, so that several tabs can sign in at once. The returned `state` selects the cookie. The
 * sign-in checks that both belong together.
 */
export function signInCookie(state: string): string {
  return `__Host-countersign-sign-in-${state.slice(0, 8)}`;
}

/** The cookies of abandoned sign-ins beyond the limit. */
export function surplusSignIns(header: string | undefined): string[] {
  const names = pairsOf(header).map((pair) => pair.slice(0, Math.max(0, pair.indexOf('='))));
  const underWay = [...new Set(names)].filter((name) => SIGN_IN_COOKIE.test(name));
  return underWay.length < MAX_SIGN_INS ? [] : underWay;
}

/**
 * The attributes of both cookies. `Lax`, because the provider's response is a cross-site navigation.
 * {@link ./cross-site.ts} additionally protects state-changing requests.
 */
export const COOKIE_ATTRIBUTES = { secure: true, httpOnly: true, sameSite: 'lax', path: '/' } as const;

/** A cookie to set, or to remove if its value is null. */
export interface CookieChange {
  name: string;
  value: string | null;
  attributes: typeof COOKIE_ATTRIBUTES & { maxAge?: number };
}

/** Removes a cookie. */
export function withoutCookie(name: string): CookieChange {
  return { name, value: null, attributes: COOKIE_ATTRIBUTES };
}

/**
 * The whitespace that may surround a cookie. No other whitespace is trimmed. Browsers protect the prefix only at the
 * start of a name, so a sibling host can set `\u00a0__Host-…`. Trimming must not turn that into the protected name.
 */
const AROUND = /^[ \t]+|[ \t]+$/g;

function pairsOf(header: string | undefined): string[] {
  return (header ?? '').split(';').map((pair) => pair.replace(AROUND, ''));
}

/** The values of a cookie name in a `Cookie` header, unparsed. */
function valuesOf(header: string | undefined, name: string): string[] {
  return pairsOf(header)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
}

/** Whether a request has a cookie of that name. */
export function hasCookie(header: string | undefined, name: string): boolean {
  return valuesOf(header, name).length > 0;
}

/**
 * The secret in a cookie; null when there is none, when it is malformed, or when there are two, which is ambiguous.
 */
export function readSecret(header: string | undefined, name: string): string | null {
  const [value, ...more] = valuesOf(header, name);
  return value !== undefined && more.length === 0 && isSecret(value) ? value : null;
}
