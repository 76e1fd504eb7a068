import { isSecret } from './secrets.ts';

/**
 * The prefix keeps a browser from taking these cookies from anywhere but this very host over a secure connection, with
 * no domain and no narrower path: a neighbouring host cannot set one.
 *
 * @see RFC 6265bis section 4.1.3.2
 */
export const SESSION_COOKIE = '__Host-countersign-session';
/** Ties the provider's answer to the browser that asked; gone once it came. */
export const SIGN_IN_COOKIE = '__Host-countersign-sign-in';

/**
 * The attributes of both. `Lax`, because the provider's answer is a navigation from its site to ours; what changes
 * something is guarded by {@link ./cross-site.ts} besides.
 */
export const COOKIE_ATTRIBUTES = { secure: true, httpOnly: true, sameSite: 'lax', path: '/' } as const;

/** The values that a `Cookie` header gives a name, each as it stands. */
function valuesOf(header: string | undefined, name: string): string[] {
  return (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
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
