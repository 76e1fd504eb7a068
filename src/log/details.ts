import type { Reason } from '../reason.ts';
import type { Correlation, Entry, FlagMove } from './entry.ts';
import type { Lists } from './record.ts';

/** Lists that a leaf has only the digests of. Earlier records lack the newer ones. */
type RecordedLists = Omit<Lists, 'activates.stages'> & {
  'activates.stages'?: Lists['activates.stages'] | undefined;
};

/** The readable details of a record: names, reasons and correlation ids. They are stored beside the leaf. */
export interface DecisionRecord {
  id: string;
  at_ms: number;
  operation: string;
  principal: {
    id: string;
    kind: string;
    /** For an agent: its sponsor, the person it acts for. */
    person: string | null;
    issuer: string;
    trust_rule: string | null;
    /** For an agent: the acting principals, newest first. */
    act?: readonly string[] | undefined;
  };
  environment: string | null;
  outcome: {
    effect: string;
    reasons: readonly Reason[];
    obligations: readonly unknown[];
    note: Reason | null;
  };
  request: { id: string; digest: string; from: string | null; to: string } | null;
  flags: readonly Omit<FlagMove, 'digest' | 'namespace' | 'retired'>[];
  policy_hash: string;
  input_digest: string;
  correlation: Correlation;
  /** The lists of a record that was too large; its leaf has only their digests. */
  lists?: RecordedLists | undefined;
}

/** The readable details of an entry. */
export function toDetails({
  id,
  at_ms,
  operation,
  principal,
  environment,
  decision,
  request,
  flags,
  note,
  correlation,
}: Entry): DecisionRecord {
  return {
    id,
    at_ms,
    operation,
    principal: {
      id: principal.id,
      kind: principal.kind,
      person: principal.person,
      issuer: principal.issuer,
      trust_rule: principal.token.trust_rule,
      ...(principal.act && { act: principal.act }),
    },
    environment,
    outcome: {
      effect: decision.effect,
      reasons: decision.reasons,
      obligations: decision.obligations,
      note: note ?? null,
    },
    request: request && { id: request.id, digest: request.digest, from: request.from, to: request.to },
    flags: flags.map(({ digest: _, namespace: __, retired: ___, ...move }) => move),
    policy_hash: decision.policy_hash,
    input_digest: decision.input_digest,
    correlation,
  };
}
