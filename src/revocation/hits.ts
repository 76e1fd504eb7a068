import { z } from 'zod';
import type { RevocationChecks } from '../decide/revocations.ts';
import type { Caller } from '../identity/credential.ts';
import { MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import type { DecisionRecord } from '../log/details.ts';
import { epochMs } from '../moment.ts';
import type { Principal } from '../principal.ts';
import { listPrincipals } from '../store/principals.ts';
import { findDetails, listAllowed } from '../store/records.ts';
import { listOpenAuthorship, listOpenVotes } from '../store/requests.ts';
import type { RevocationsTable, VotesTable } from '../store/schema.ts';
import { listAllBrowserSessions } from '../store/sessions.ts';
import { listSigningKeys } from '../store/signing-keys.ts';
import type { Db } from '../store/statement.ts';
import { loadParts } from './authored-parts.ts';
import { callerOfRow } from './session-caller.ts';

/** The effects of a revocation besides its entry in the list. */
const consequencesSchema = z.object({
  sessions: z
    .array(z.object({ id: z.string(), principal: z.string(), opened_ms: epochMs }))
    .meta({ description: 'Browser sessions that it ends.' }),
  requests: z
    .array(z.object({ id: z.string(), kind: z.string(), state: z.string() }))
    .meta({ description: 'Open requests that it parks.' }),
  approvals: z
    .array(z.object({ request: z.string(), person: z.string(), at_ms: epochMs }))
    .meta({ description: 'Approvals on open requests that it voids.' }),
});
export type Consequences = z.infer<typeof consequencesSchema>;

/** Everything that a revocation hits, in one state of the store. A dry run and a real revocation compute the same. */
export const hitsSchema = consequencesSchema
  .extend({
    principals: z.array(z.string()).meta({
      description:
        'Known principals that it refuses; empty for a token, a session or a key, which name no principal.',
    }),
    tokens: z.array(z.object({ principal: z.string(), issued_ms: epochMs })).meta({
      description:
        'Usable tokens that the broker issued, newest first. Only the most recent exchanges are searched.',
    }),
  })
  .meta({ id: 'RevocationHits' });
export type Hits = z.infer<typeof hitsSchema>;

/** The dependencies of computing {@link Consequences}. */
export interface ConsequencesDeps {
  revocations: Pick<RevocationChecks<Db>, 'isHit' | 'wouldPark'>;
  now_ms: number;
}

/** The dependencies of computing {@link Hits}. */
export interface HitsDeps extends ConsequencesDeps {
  /** The broker's public URL: the `iss` of the tokens that it issues. */
  issuer: string;
}

/** Limits the number of exchanges searched, so that a revocation does not delay other writes. */
const MAX_EXCHANGES = 5000;

/** Computes the consequences of a revocation. Reads only open rows, so that it does not hold the writer for long. */
export async function loadConsequences(
  db: Db,
  revocation: RevocationsTable,
  deps: ConsequencesDeps,
): Promise<Consequences> {
  return {
    sessions: await hitSessions(db, revocation, deps),
    requests: await parkedRequests(db, revocation, deps),
    approvals: await voidedApprovals(db, revocation, deps),
  };
}

/** Computes everything that a revocation hits, for its author. */
export async function loadHits(
  db: Db,
  revocation: RevocationsTable,
  { deps, consequences }: { deps: HitsDeps; consequences?: Consequences },
): Promise<Hits> {
  return {
    ...(consequences ?? (await loadConsequences(db, revocation, deps))),
    principals: await hitPrincipals(db, revocation, deps),
    tokens: await hitTokens(db, revocation, deps),
  };
}

async function hitSessions(
  db: Db,
  revocation: RevocationsTable,
  deps: ConsequencesDeps,
): Promise<Hits['sessions']> {
  const rows = await listAllBrowserSessions(db, deps.now_ms);
  return rows
    .filter((row) => deps.revocations.isHit(revocation, callerOfRow(row)))
    .map(({ id, principal_id, opened_ms }) => ({ id, principal: principal_id, opened_ms }));
}

async function hitPrincipals(db: Db, revocation: RevocationsTable, deps: HitsDeps): Promise<string[]> {
  const whole = { ...revocation, issued_before_ms: null };
  const rows = await listPrincipals(db);
  return rows
    .filter((row) => deps.revocations.isHit(whole, bareCaller(JSON.parse(row.principal) as Principal, 0)))
    .map(({ id }) => id);
}

/** Records of exchanges name the recipients of tokens, but not the tokens: a revoked jti cannot be looked up. */
async function hitTokens(
  db: Db,
  revocation: RevocationsTable,
  { revocations, now_ms, issuer }: HitsDeps,
): Promise<Hits['tokens']> {
  const exchanges = await listAllowed(db, {
    operation: 'token.exchange',
    from_ms: now_ms - MAX_ISSUED_LIFE_S * 1000,
    limit: MAX_EXCHANGES,
  });
  const keys = await listSigningKeys(db);
  return exchanges.flatMap(({ at_ms, details, input }) => {
    const { principal } = JSON.parse(input) as { principal: Principal };
    const { correlation } = JSON.parse(details) as DecisionRecord;
    const kid = keys.findLast((key) => key.created_ms <= at_ms)?.kid ?? null;
    // The platform's token that was exchanged: revoking it revokes the broker's token.
    const origin = {
      principal: principal.id,
      kind: 'workload',
      issuer: principal.issuer,
      token_id: correlation.token ?? '',
      kid: null,
      session: null,
      issued_ms: principal.token.issued_ms ?? at_ms,
    } as const;
    const caller = bareCaller(principal, at_ms, { issuer, kid, origins: [origin] });
    return revocations.isHit(revocation, caller) ? [{ principal: principal.id, issued_ms: at_ms }] : [];
  });
}

async function parkedRequests(
  db: Db,
  revocation: RevocationsTable,
  deps: ConsequencesDeps,
): Promise<Hits['requests']> {
  const parked: Hits['requests'] = [];
  for (const { id, kind, state, proposer, authors } of await listOpenAuthorship(db)) {
    const authorship = {
      proposer: JSON.parse(proposer) as Principal,
      authors: JSON.parse(authors) as string[],
      parts: await loadParts(db, id),
    };
    if (deps.revocations.wouldPark(revocation, authorship)) parked.push({ id, kind, state });
  }
  return parked;
}

async function voidedApprovals(
  db: Db,
  revocation: RevocationsTable,
  deps: ConsequencesDeps,
): Promise<Hits['approvals']> {
  if (!voids(revocation)) return [];
  const voided: Hits['approvals'] = [];
  for (const vote of await listOpenVotes(db)) {
    if (!deps.revocations.isHit(revocation, await callerOfVote(db, vote, revocation))) continue;
    voided.push({ request: vote.request_id, person: vote.person, at_ms: vote.at_ms });
  }
  return voided;
}

/** Signing out or surrendering a token does not void the holder's own votes. */
function voids({ kind, cause }: RevocationsTable): boolean {
  if (cause === 'holder') return false;
  return cause === 'incident' || kind === 'subject';
}

/** The credential of an approval. Its record has the id of the token or session. */
async function callerOfVote(db: Db, vote: VotesTable, { kind }: RevocationsTable): Promise<Caller> {
  const principal = JSON.parse(vote.principal) as Principal;
  const issuedMs = principal.token.issued_ms ?? vote.at_ms;
  if (kind !== 'token' && kind !== 'session') return bareCaller(principal, issuedMs);
  const details = vote.decision_id === null ? undefined : await findDetails(db, vote.decision_id);
  if (details === undefined) return bareCaller(principal, issuedMs);
  const { token, session = null } = (JSON.parse(details) as Pick<DecisionRecord, 'correlation'>).correlation;
  return bareCaller(principal, issuedMs, { token_id: token ?? '', session });
}

/** A caller known only by principal and by the time their credential was issued. */
function bareCaller(
  principal: Principal,
  issuedMs: number,
  known: Partial<Caller['credential']> = {},
): Caller {
  return {
    principal,
    credential: {
      issuer: principal.issuer,
      token_id: '',
      kid: null,
      issued_ms: issuedMs,
      expires_ms: issuedMs,
      session: null,
      proof: null,
      ...known,
    },
  };
}
