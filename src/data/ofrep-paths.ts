import { evaluateFlag, evaluateFlags } from './ofrep-routes.ts';

/*
 * What the target of an OFREP request says.
 */

const FLAGS_PATH: string = evaluateFlags.path;

/** The path of one flag, up to its key. */
const KEY_PATH = evaluateFlag.path.slice(0, evaluateFlag.path.indexOf('{'));

/** The path of a target, without its query. */
export function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

/** The flag key of a path, null for all flags, undefined for a path outside OFREP. */
export function keyOf(path: string): string | null | undefined {
  // Clients of flagd may append a slash.
  if (path === FLAGS_PATH || path === KEY_PATH) return null;
  if (!path.startsWith(KEY_PATH) || path.includes('/', KEY_PATH.length)) return undefined;
  return decodeKey(path.slice(KEY_PATH.length));
}

function decodeKey(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Not a valid flag key either way, so it gets the response for an unknown flag.
    return encoded;
  }
}

/** The path of a route as docs/api.md has it; null outside OFREP. */
export function routeOf(key: string | null | undefined): string | null {
  if (key === undefined) return null;
  return key === null ? FLAGS_PATH : evaluateFlag.path;
}

/**
 * The tag of the flags that an event told of, if a request was made because of one. It is not a condition of the request:
 * `If-None-Match` is. Another part of the query, `flagConfigLastModified`, is never told of, so it says nothing here.
 *
 * @see OFREP 0.3.0, ADR-0008
 */
export function toldTag(url: string): string | null {
  const query = url.indexOf('?');
  return query === -1 ? null : new URLSearchParams(url.slice(query)).get('flagConfigEtag');
}
