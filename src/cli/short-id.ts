import { PROBLEMS } from '../problems.ts';
import { unknownName } from '../unknown-name.ts';
import type { Context } from './cli.ts';
import { CliError } from './cli-error.ts';
import { EXIT, exitOfProblem } from './output/exit-codes.ts';
import { moment, printable } from './output/text.ts';

/*
 * Short ids: the beginning of an id stands for it, if only one that the caller may see begins so. The broker lists the
 * candidates, so that nothing hidden counts.
 */

/** An id in full: a UUID. */
const FULL = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The beginning of one, long enough to be no accident. */
const SHORT = /^(?=.{6,35}$)[0-9a-f]{6,8}(?:-[0-9a-f]{0,12})*$/i;

/** The most candidates that are listed. */
const SHOWN = 10;

/** What has ids, with its list. Lists with `isFiltered` take the beginning of an id; the others come whole. */
const LISTS = {
  request: { path: '/v1/requests', query: {}, isFiltered: true },
  decision: { path: '/v1/decisions', query: {}, isFiltered: true },
  revocation: { path: '/v1/revocations', query: { state: 'all' }, isFiltered: true },
  freeze: { path: '/v1/freezes', query: { state: 'all', limit: '200' }, isFiltered: false },
  'break-glass session': { path: '/v1/break-glass', query: { limit: '200' }, isFiltered: false },
  session: { path: '/v1/sessions', query: {}, isFiltered: false },
} as const;

/** A kind of thing with an id. */
export type WithId = keyof typeof LISTS;

interface Candidate {
  id: string;
  /** Of requests, and what else has one. */
  state?: string;
  operation?: string;
  created_ms?: number;
  at_ms?: number;
  engaged_ms?: number;
  opened_ms?: number;
}

/**
 * The id that a person means: a full id is returned as it is, and so is what cannot be one.
 *
 * @throws CliError `not_found` if no id that the caller may see begins so, `ambiguous_id` with the candidates if several do
 */
export async function fullId(context: Context, what: WithId, text: string): Promise<string> {
  const found = await candidatesOf(context, what, text);
  if (found === null) return text;
  const [first, second] = found;
  if (first === undefined) throw nothingBegins(what, text);
  if (second === undefined) return first.id;
  throw ambiguous(what, text, found);
}

/** The same for what may be of two kinds: the first that has such an id counts. */
export async function fullIdOfEither(
  context: Context,
  [what, other]: readonly [WithId, WithId],
  text: string,
): Promise<string> {
  const found = await candidatesOf(context, what, text);
  return found === null || found.length > 0 ? fullId(context, what, text) : fullId(context, other, text);
}

/** What begins so; null for a text that is no short id. */
async function candidatesOf(
  { client }: Context,
  what: WithId,
  text: string,
): Promise<readonly Candidate[] | null> {
  if (FULL.test(text) || !SHORT.test(text)) return null;
  const begins = text.toLowerCase();
  const { path, query, isFiltered } = LISTS[what];
  const call = {
    method: 'GET',
    path,
    query: isFiltered ? { ...query, id: begins, limit: '50' } : query,
  } as const;
  const { body } = await client.call<{ items: Candidate[] }>(call);
  return body.items.filter(({ id }) => id.startsWith(begins));
}

function nothingBegins(what: WithId, text: string): CliError {
  const { message, code } = unknownName({ what, name: text });
  return new CliError(exitOfProblem(code), { code, title: PROBLEMS[code].title, detail: message });
}

function ambiguous(what: WithId, text: string, found: readonly Candidate[]): CliError {
  const more = found.length > SHOWN ? [`and ${found.length - SHOWN} more`] : [];
  const lines = [...found.slice(0, SHOWN).map(describe), ...more].map((line) => `\n  ${line}`);
  return new CliError(EXIT.usage, {
    code: 'ambiguous_id',
    title: 'The id is too short',
    detail: `${found.length} ${what}s that you may see begin with "${text}". Write more of the id:${lines.join('')}`,
    candidates: found.map(({ id }) => id),
  });
}

function describe({ id, state, operation, ...times }: Candidate): string {
  const ms = times.created_ms ?? times.at_ms ?? times.engaged_ms ?? times.opened_ms;
  const about = [state ?? operation, ms === undefined ? undefined : moment(ms)];
  return printable([id, ...about.filter((word) => word !== undefined)].join('  '));
}
