import type { CookieChange } from './cookies.ts';

/** A page. @param formTargets see {@link pageHeaders} */
export function pageReply(body: string, formTargets: readonly string[] = []) {
  return { body, headers: pageHeaders(formTargets) };
}

/**
 * The headers of a page. Its content security policy allows only its own stylesheet.
 *
 * @param formTargets other origins that a form submission may redirect to, because browsers check redirect targets
 */
export function pageHeaders(formTargets: readonly string[]): Record<string, string> {
  const targets = ["'self'", ...formTargets].join(' ');
  return {
    'Content-Security-Policy': `default-src 'none'; style-src 'self'; form-action ${targets}; frame-ancestors 'none'; base-uri 'none'`,
    // Same-origin forms need the referrer. Other origins get none.
    'Referrer-Policy': 'same-origin',
    'Cache-Control': 'no-store',
  };
}

/** Visible ASCII that a `return_to` may contain, but no URL. */
const NOT_IN_URLS = /["<>`{}]|%(?![0-9A-Fa-f]{2})/g;

/** A redirect that browsers follow with GET. */
export function redirectTo(location: string, cookies: readonly CookieChange[] = []) {
  return {
    status: 303,
    headers: {
      Location: location.replaceAll(NOT_IN_URLS, encodeURIComponent),
      'Cache-Control': 'no-store',
    },
    cookies,
    body: undefined,
  };
}
