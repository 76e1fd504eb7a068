import { canonicalJson } from '../json.ts';
import type { Principal } from '../principal.ts';
import type { BindingName } from './access.ts';
import type { Obligation } from './decision.ts';
import {
  type AskedQuestion,
  approvalsIn,
  ask,
  countMissing,
  type MissingApproval,
  signedIn,
  withApprovals,
} from './variations.ts';

/*
 * Whose approval would count: found by asking the policy about each candidate, a person or the holder of a binding.
 */

/** The most principals, or bindings, that are tried for one explanation. */
export const MAX_TRIED = 200;
/** The highest level of a sign-in. */
export const STRONGEST = 9;

/** A list of role bindings in the policy's data: those of a group, of a claim's value, or of a person. */
export type BindingSource = Pick<BindingName, 'issuer' | 'key'> & {
  by: Exclude<BindingName['by'], 'trust_rule'>;
};

/** Names one missing approval. */
export function approvalKey({ role, organization }: MissingApproval): string {
  return canonicalJson([role, organization ?? null]);
}

/** Which candidates may approve, so that their approval counts for each missing one, by {@link approvalKey}. */
export async function findCounting(
  asked: AskedQuestion,
  obligations: readonly Obligation[],
  candidates: readonly Principal[],
): Promise<Map<string, Principal[]>> {
  const { document } = asked;
  const missing = approvalsIn(obligations);
  const found = new Map<string, Principal[]>(missing.map((obligation) => [approvalKey(obligation), []]));
  if (missing.length === 0) return found;
  for (const candidate of candidates.slice(0, MAX_TRIED)) {
    const approver = signedIn(candidate, STRONGEST, document.clock.now_ms);
    const vote = { ...document, operation: 'request.approve' as const, principal: approver };
    if ((await ask(asked, vote)).effect === 'deny') continue;
    const then = await ask(asked, withApprovals(document, [approver]));
    for (const obligation of missing) {
      if (then.effect === 'deny') break;
      if (countMissing(then.obligations, obligation) < countMissing(obligations, obligation)) {
        found.get(approvalKey(obligation))?.push(approver);
      }
    }
  }
  return found;
}

/**
 * The bindings by which an approval would count, with or without holders, for each missing one.
 *
 * @returns null if the bundle does not tell its bindings
 */
export async function approvingBindings(
  asked: AskedQuestion,
  obligations: readonly Obligation[],
): Promise<Map<string, BindingSource[]> | null> {
  const answer = asked.policy.access([]);
  if (answer === null) return null;
  const sources = new Map<string, { source: BindingSource; holder: Principal }>();
  for (const [place, { by, issuer, key }] of answer.bindings.entries()) {
    const id = by === 'principal' ? key : `person:holder-of:${place}`;
    if (by === 'trust_rule' || !id.startsWith('person:')) continue;
    const source = { by, issuer, key };
    sources.set(canonicalJson(source), {
      source,
      holder: holderOf(source, { id, like: asked.document.principal }),
    });
  }
  const holders = [...sources.values()].map(({ holder }) => holder);
  const sourceOf = new Map([...sources.values()].map(({ source, holder }) => [holder.id, source]));
  const counting = await findCounting(asked, obligations, holders);
  return new Map(
    [...counting].map(([key, found]) => [
      key,
      found.flatMap(({ id }) => {
        const source = sourceOf.get(id);
        return source === undefined ? [] : [source];
      }),
    ]),
  );
}

/** A person nobody knows who holds these bindings and no others. */
function holderOf(
  { by, issuer, key }: BindingSource,
  { id, like }: { id: string; like: Principal },
): Principal {
  const [, claim = '', value = ''] = /^([^=]*)=(.*)$/s.exec(key) ?? [];
  return {
    id,
    kind: 'person',
    person: id,
    issuer: issuer ?? like.issuer,
    groups: by === 'group' ? [key] : [],
    claims: by === 'claim' ? { [claim]: value } : {},
    auth: { level: STRONGEST, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null, issued_ms: 0 },
  };
}
