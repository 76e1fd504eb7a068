import { hash } from 'node:crypto';
import { canonicalJson } from './json.ts';

/**
 * A strong entity tag for an answer: equal contents have equal tags, in every process and at all times, and different
 * contents have different ones. It never derives from a counter: counters repeat once an older copy of the database is
 * restored, and a repeated tag would confirm to a client what is no longer true. The tag of a whole content needs neither
 * the installation nor the log's epoch to be unique.
 *
 * @param content everything that the answer depends on, as JSON values
 * @see RFC 9110 sections 8.8.1 and 8.8.3
 */
export function strongTag(content: unknown): string {
  return tagOfText(canonicalJson(content));
}

/** As {@link strongTag}, of a content that is canonical JSON already. */
export function tagOfText(canonical: string): string {
  return `"${hash('sha256', canonical, 'base64url')}"`;
}
