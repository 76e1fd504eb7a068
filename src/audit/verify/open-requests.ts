import { MeaningFault } from './fault.ts';
import type { LogRecord } from './leaf.ts';

/** The states that no request leaves. */
const FINAL: ReadonlySet<string> = new Set(['applied', 'rejected', 'withdrawn', 'expired', 'conflicted']);
/** What takes approvals under every policy: how many, and from which version of the guardrails on. */
const APPROVALS: ReadonlyMap<string, { count: number; since: number }> = new Map([
  ['freeze.lift', { count: 1, since: 2 }],
  ['policy.activate', { count: 1, since: 2 }],
  ['person.erase', { count: 2, since: 3 }],
]);

interface OpenRequest {
  state: string;
  kind: string;
  /** The allowed votes, by the ids of their decisions. */
  votes: Map<string, { person: string; digest: string; approves: boolean }>;
  /** The newest vote of each person. */
  newest: Map<string, string>;
  /** It began before the records that can be read. */
  isOlder: boolean;
}

/** Follows the requests that are open, and the votes on them. */
export interface OpenRequests {
  /** @throws MeaningFault */
  take(record: LogRecord, options: { startsAt0: boolean }): void;
  /** How many votes were counted. */
  votes(): number;
}

/**
 * Requests from their proposal to their end, so memory is bounded by those that are open at once. What is applied must
 * count votes that are in the log: allowed, newest of their givers, for the same digest, of distinct persons, none an author.
 */
export function followRequests(): OpenRequests {
  const open = new Map<string, OpenRequest>();
  let counted = 0;
  return {
    take: (record, { startsAt0 }) => {
      // A restore voids every vote: the record of a later one, which replaced it, may be lost.
      if (record.operation === 'restore.accept') for (const { votes } of open.values()) votes.clear();
      const { request } = record;
      if (request === null || isRemark(record, request)) return;
      const known = transit(open, record, request, startsAt0);
      if (known === undefined) return;
      keepVote(known, record, request);
      if (request.to === 'applied') counted += countVotes(known, record, request);
      if (FINAL.has(request.to)) open.delete(request.id);
    },
    votes: () => counted,
  };
}

type RecordedRequest = NonNullable<LogRecord['request']>;

/** A comment on what is closed, which moves nothing. */
function isRemark(
  { operation, activates, freeze, isErasure }: LogRecord,
  { from, to }: RecordedRequest,
): boolean {
  const changes = activates !== null || freeze !== null || isErasure;
  return operation === 'request.comment' && from === to && FINAL.has(to) && !changes;
}

/** The request, in its new state; undefined if it is refused before it is stored. */
function transit(
  open: Map<string, OpenRequest>,
  record: LogRecord,
  { id, kind, from, to }: RecordedRequest,
  startsAt0: boolean,
): OpenRequest | undefined {
  const known = open.get(id);
  const fault = (message: string) => new MeaningFault('request_chain', record.place, message);
  if (from === null) {
    if (known !== undefined) throw fault(`the request ${id} is proposed, but is ${known.state} already`);
    if (!isStored(record, to)) return undefined;
  } else if (known === undefined) {
    if (startsAt0) throw fault(`the request ${id} leaves ${from}, but is not open`);
  } else if (known.state !== from || known.kind !== kind) {
    throw fault(`the request ${id} (${kind}) leaves ${from}, but is ${known.state} (${known.kind})`);
  }
  const request = known ?? {
    state: to,
    kind,
    votes: new Map(),
    newest: new Map(),
    isOlder: from !== null,
  };
  request.state = to;
  open.set(id, request);
  return request;
}

function isStored({ effect, note, operation }: LogRecord, to: string): boolean {
  if (operation === 'breakglass.apply') return to === 'applied';
  return effect !== 'deny' && note !== 'expires_before_start';
}

function keepVote(
  { votes, newest }: OpenRequest,
  { place, operation, effect, id, person, principal }: LogRecord,
  { digest }: RecordedRequest,
): void {
  if (operation !== 'request.approve' && operation !== 'request.reject') return;
  if (effect !== 'allow' || person === null || principal.kind !== 'person') return;
  if (votes.has(id)) throw new MeaningFault('request_chain', place, `the vote ${id} is in the log twice`);
  votes.set(id, { person, digest, approves: operation === 'request.approve' });
  newest.set(person, id);
}

/** @returns how many votes it counts */
function countVotes(request: OpenRequest, record: LogRecord, { kind, digest }: RecordedRequest): number {
  const { place, votes, authors, schema } = record;
  if (votes === null) return 0;
  const persons = new Set<string>();
  for (const id of votes) {
    const vote = request.votes.get(id);
    if (vote === undefined) {
      if (request.isOlder) continue;
      throw new MeaningFault('vote_unknown', place, `it counts the vote ${id}, which is not in the log`);
    }
    if (!vote.approves || vote.digest !== digest)
      throw new MeaningFault(
        'vote_of_other_content',
        place,
        `it applies ${digest}, and counts the vote ${id}, which is not an approval of that`,
      );
    if (persons.has(vote.person))
      throw new MeaningFault('vote_twice', place, `it counts two votes of ${vote.person}`);
    if (request.newest.get(vote.person) !== id)
      throw new MeaningFault(
        'vote_replaced',
        place,
        `it counts the vote ${id}, after which ${vote.person} voted again`,
      );
    if (authors?.includes(vote.person) === true)
      throw new MeaningFault('vote_of_author', place, `it counts the vote of ${vote.person}, an author`);
    persons.add(vote.person);
  }
  const takes = APPROVALS.get(kind);
  if (takes !== undefined && votes.length < takes.count && (schema.guardrails ?? 0) >= takes.since)
    throw new MeaningFault(
      'vote_missing',
      place,
      `it applies a request of kind ${kind} with ${votes.length} approvals, and that takes ${takes.count}`,
    );
  return persons.size;
}
