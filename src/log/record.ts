import { canonicalJson, saltedDigest } from '../json.ts';
import type { KeyHandover } from '../tree/key-chain.ts';
import type {
  ActivatedPolicy,
  Entry,
  FlagMove,
  FormerLog,
  Passage,
  RecordedFreeze,
  RecordedObligation,
  RecordedSnapshot,
  RecordedStage,
  Retention,
} from './entry.ts';

/**
 * Version 1 of the record, which is the hashed leaf. A change of meaning requires a new version.
 *
 * It contains nothing that may have to be erased: pseudonyms for principals and persons, and digests for text and
 * documents, salted with the record's own salt ({@link saltedDigest}, with the member's name as the label). Pseudonyms,
 * salt and everything readable are stored beside it.
 */
export interface RecordV1 {
  /** Versions of this document, of the policy's input and result, and of the guardrails; null if there was none. */
  schema: { record: 1; input: number | null; result: number; guardrails: number | null };
  id: string;
  at_ms: number;
  operation: string;
  principal: {
    pseudonym: string;
    kind: string;
    issuer: string;
    trust_rule: string | null;
    /** For an agent: the acting principals, newest first. */
    act: string[];
  };
  /** The human behind the principal. */
  person: string | null;
  /** Null too for one that the policy did not know. */
  environment: string | null;
  request: {
    id: string;
    kind: string;
    object: { type: string; id: string } | null;
    digest: string;
    from: string | null;
    to: string;
  } | null;
  authors: ListOf<string>;
  /** The counted votes, by the records of their decisions. */
  votes: ListOf<string>;
  flags: ListOf<FlagMove>;
  /** The log that this one takes the place of. Only the first record of an epoch has this member. */
  follows?: FormerLog | undefined;
  freeze: RecordedFreeze | null;
  passed: { freezes: ListOf<string>; exception: boolean };
  /** As {@link ActivatedPolicy} says. Records of earlier versions of the broker have neither stages nor followers. */
  activates: {
    hash: string;
    archive: string;
    stage?: string | undefined;
    stages?: ListOf<RecordedStage> | undefined;
    followers?: readonly { hash: string; archive: string; stage: string }[] | undefined;
  } | null;
  erases: { places: ListOf<number>; pseudonyms: ListOf<string> } | null;
  /** The new key of the log. Only a record that hands the log over to one has this member. */
  log_key?: KeyHandover | undefined;
  /** The snapshot that it publishes. Only a record of `snapshot.publish` has this member. */
  snapshot?: RecordedSnapshot | undefined;
  /** What it takes out of the database. Only a record that does so has this member. */
  retention?: Retention | undefined;
  guardrail: string | null;
  /** The stage whose policy decided; null if one policy governs all stages. */
  stage: string | null;
  outcome: {
    effect: string;
    codes: ListOf<string>;
    obligations: ListOf<RecordedObligation>;
    note: string | null;
  };
  digests: {
    /** The JSON text of the readable details. */
    details: string;
    /** The canonical JSON of the full reasons. */
    reasons: string;
    /** The text of the broker's own note. */
    note: string | null;
    ticket: string | null;
    /** The reason that the request's proposer gave. */
    reason: string | null;
    /** The JSON texts of input and result. */
    input: string;
    result: string;
  };
  policy_hash: string;
  correlation: { http_request_id: string | null; ci_run: string | null };
}

/**
 * A list, or its replacement in a record that would be too large: its length and the salted digest of its canonical JSON.
 * The list itself is then in the details, under `lists`.
 */
export type ListOf<T> = readonly T[] | { count: number; digest: string };

/** The pseudonyms in a leaf. */
export interface Pseudonyms {
  principal: string;
  act: string[];
  person: string | null;
  authors: string[];
}

/** The texts beside a leaf. */
export interface ReadableTexts {
  details: string;
  result: string;
  salt: string;
}

/** A leaf must fit an entry bundle of C2SP tlog-tiles. */
export const MAX_LEAF_BYTES = 65_535;
/** The form of run ids on platforms. Anything else might be free text, and is in the details only. */
const CI_RUN = /^[\w.:/-]{1,100}$/;
const NOTHING_PASSED: Passage = { freezes: [], exception: false };

/** The lists of a record by the labels of their digests. */
export interface Lists {
  'activates.stages': readonly RecordedStage[];
  authors: readonly string[];
  votes: readonly string[];
  flags: readonly FlagMove[];
  'passed.freezes': readonly string[];
  'erases.places': readonly number[];
  'erases.pseudonyms': readonly string[];
  'outcome.codes': readonly string[];
  'outcome.obligations': readonly RecordedObligation[];
}

/** The lists of an entry, in the form of its record. */
export function listsOf(entry: Entry, { authors }: Pseudonyms): Lists {
  const { reasons, obligations } = entry.decision;
  return {
    'activates.stages': (entry.activates?.stages ?? []).map(({ environments, name }) => ({
      environments,
      name,
    })),
    authors,
    votes: entry.votes ?? [],
    flags: entry.flags.map(
      ({ digest, environment, flag, namespace, retired, version_after, version_before }) => ({
        digest,
        environment,
        flag,
        ...(namespace === undefined ? {} : { namespace }),
        ...(retired === undefined ? {} : { retired }),
        version_after,
        version_before,
      }),
    ),
    'passed.freezes': entry.passed?.freezes ?? [],
    'erases.places': entry.erases?.places ?? [],
    'erases.pseudonyms': entry.erases?.pseudonyms ?? [],
    'outcome.codes': reasons.map(({ code }) => code),
    // Other members of an obligation may name a person or an organization.
    'outcome.obligations': obligations.map(({ kind, role, count }) => ({
      ...(count === undefined ? {} : { count }),
      kind,
      ...(role === undefined ? {} : { role }),
    })),
  };
}

/** The leaf with its lists, of any size. */
export function buildLeaf(entry: Entry, names: Pseudonyms, beside: ReadableTexts): string {
  const lists = listsOf(entry, names);
  return JSON.stringify(toRecord(entry, names, beside, (label) => lists[label]));
}

/** The leaf with digests in place of its lists. It always fits, so every decision can be recorded. */
export function buildShortLeaf(entry: Entry, names: Pseudonyms, beside: ReadableTexts): string {
  const lists = listsOf(entry, names);
  const shorten = (label: keyof Lists) => ({
    count: lists[label].length,
    digest: saltedDigest(beside.salt, label, canonicalJson(lists[label])),
  });
  return JSON.stringify(toRecord(entry, names, beside, shorten));
}

/**
 * Every member here and in {@link listsOf} is written in the order of canonical JSON, so that `JSON.stringify` gives its
 * bytes: sorting each leaf again would take twice as long. The log oracle of the tests checks each leaf.
 */
function toRecord(
  entry: Entry,
  names: Pseudonyms,
  { salt, details, result }: ReadableTexts,
  list: <K extends keyof Lists>(label: K) => ListOf<Lists[K][number]>,
): RecordV1 {
  const { principal, decision, request, passed = NOTHING_PASSED, note, correlation } = entry;
  const { ticket } = correlation;
  return {
    activates: entry.activates === undefined ? null : inHashOrder(entry.activates, list('activates.stages')),
    at_ms: entry.at_ms,
    authors: list('authors'),
    correlation: {
      ci_run: correlation.ci_run !== null && CI_RUN.test(correlation.ci_run) ? correlation.ci_run : null,
      http_request_id: correlation.http_request_id,
    },
    digests: {
      details: saltedDigest(salt, 'details', details),
      input: saltedDigest(salt, 'input', decision.input_json),
      note: note === undefined ? null : saltedDigest(salt, 'note', note.detail),
      reason: request === null ? null : saltedDigest(salt, 'reason', request.reason),
      reasons: saltedDigest(salt, 'reasons', canonicalJson(decision.reasons)),
      result: saltedDigest(salt, 'result', result),
      ticket: ticket === null ? null : saltedDigest(salt, 'ticket', ticket),
    },
    environment: entry.knows_environment ? entry.environment : null,
    erases:
      entry.erases === undefined
        ? null
        : { places: list('erases.places'), pseudonyms: list('erases.pseudonyms') },
    flags: list('flags'),
    ...(entry.follows === undefined ? {} : { follows: formerInOrder(entry.follows) }),
    freeze: entry.freeze ? inOrder(entry.freeze) : null,
    guardrail: decision.guardrail ?? null,
    id: entry.id,
    ...(entry.log_key === undefined ? {} : { log_key: handoverInOrder(entry.log_key) }),
    operation: entry.operation,
    outcome: {
      codes: list('outcome.codes'),
      effect: decision.effect,
      note: note?.code ?? null,
      obligations: list('outcome.obligations'),
    },
    passed: { exception: passed.exception, freezes: list('passed.freezes') },
    person: names.person,
    policy_hash: decision.policy_hash,
    principal: {
      act: names.act,
      issuer: principal.issuer,
      kind: principal.kind,
      pseudonym: names.principal,
      trust_rule: principal.token.trust_rule,
    },
    request: request && {
      digest: request.digest,
      from: request.from,
      id: request.id,
      kind: request.kind,
      object: request.object && { id: request.object.id, type: request.object.type },
      to: request.to,
    },
    ...(entry.retention === undefined ? {} : { retention: retentionInOrder(entry.retention) }),
    schema: {
      guardrails: decision.versions.guardrails,
      input: decision.versions.input,
      record: 1,
      result: decision.versions.result,
    },
    ...(entry.snapshot === undefined ? {} : { snapshot: snapshotInOrder(entry.snapshot) }),
    stage: decision.stage ?? null,
    votes: list('votes'),
  };
}

function inHashOrder(
  { archive, followers, hash, stage, stages }: ActivatedPolicy,
  stageList: ListOf<RecordedStage>,
): RecordV1['activates'] {
  return {
    archive,
    ...(followers === undefined
      ? {}
      : {
          followers: followers.map((each) => ({ archive: each.archive, hash: each.hash, stage: each.stage })),
        }),
    hash,
    ...(stage === undefined ? {} : { stage }),
    ...(stages === undefined ? {} : { stages: stageList }),
  };
}

function formerInOrder({ epoch, origin, root, size }: FormerLog): FormerLog {
  return { epoch, origin, root, size };
}

function handoverInOrder({ former, key, signature }: KeyHandover): KeyHandover {
  return { former, key, signature };
}

function snapshotInOrder({ digest, environment, size, version }: RecordedSnapshot): RecordedSnapshot {
  return { digest, environment, size, version };
}

function retentionInOrder({ count, digest, from_place, to_place, what }: Retention): Retention {
  return { count, digest, from_place, to_place, what };
}

function inOrder({ change, environment, flag, id, namespace, scope }: RecordedFreeze): RecordedFreeze {
  return { change, environment, flag, id, namespace, scope };
}
