import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { FlagDefinition, FlagState } from '../flags/model.ts';
import type { Credential } from '../identity/credential.ts';
import type { Entry, FlagMove, RecordedFreeze } from '../log/entry.ts';
import type { Moment } from '../moment.ts';
import type { Operation, PlainRead } from '../operations.ts';
import type { Policies } from '../policy/active.ts';
import type { FreezeScope } from '../policy/input.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { AfterCommit } from '../store/batch-transaction.ts';
import type { VersionOrigin } from '../store/flags.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { Store } from '../store/store.ts';
import type { UnknownName } from '../unknown-name.ts';
import type { CandidateChecks, Plan, PlanContext, RequestContent } from './plan.ts';
import type { RevocationChecks, Revocations } from './revocations.ts';

/*
 * The building blocks of every use case: a write (`write.ts`), a read (`read.ts`), a decision without a request
 * (`authorize.ts`), refusals, idempotency, and the edge to HTTP. Nothing here imports a domain. Types that domains share,
 * such as the kind of a request, are defined here. `refusals.ts` knows their reason codes, to say who can clear each.
 */

/** The dependencies of every use case of the control plane. */
export interface ControlDeps {
  store: Store;
  policies: Policies<Db>;
  revocations: Revocations<Db>;
  /** Checks candidates for activation. */
  checks: CandidateChecks;
  /** The known kinds of requests. */
  kinds: RequestKinds;
  clock: Clock;
  /** A new UUID version 7 for that time; ids sort by time. */
  newId: (nowMs: number) => string;
  /** The `acr` values of an issuer of persons that satisfy at least this level, strongest first. */
  acrValuesFor: (issuer: string, level: number) => readonly string[];
  events: ControlEvents;
}

/** Notifications that the control plane sends after the commit. */
export interface ControlEvents {
  /** Flags of an environment changed; `version` is the new version of the environment. */
  flagsChanged(environment: string, version: number, flags: readonly ChangedFlag[]): void;
  /** Something was revoked, or a revocation was lifted. */
  revocationsChanged(): void;
  /** Signing keys were rotated, or one was revoked. */
  keysChanged(): void;
  /** A freeze was engaged or lifted. */
  freezesChanged(): void;
  /** A decision was made. */
  decided(operation: Operation, effect: string): void;
  /** A caller to whom nothing is granted was denied. */
  stranger(principal: Principal): void;
  /** A principal used a permission: an operation was allowed, including plain reads. */
  used(use: Use): void;
}

/** One allowed operation, and where. */
export interface Use {
  principal: Principal;
  operation: Operation;
  environment: string | null;
  /** Null if the operation names none. */
  namespaces: readonly (string | null)[];
}

/** A flag as it is now served; state and version are null if only its definition changed. */
export interface ChangedFlag {
  definition: FlagDefinition;
  state: FlagState | null;
  version: number | null;
}

/** The ids of an HTTP request that records name. */
export interface CallIds {
  /** Null for the scheduler. */
  http_request_id: string | null;
  /** The id of the trace that it belongs to. */
  trace_id?: string | undefined;
}

/** The caller, and the correlation ids of the call. */
export interface Call extends CallIds {
  principal: Principal;
  /** The caller's credential; null for the broker's own principals. */
  credential: Credential | null;
}

/** The context of one write: its transaction, its time, and the policy that decides it. */
export interface WriteContext {
  deps: ControlDeps;
  tx: Tx;
  call: Call;
  now_ms: number;
  policy: Policy;
  /** Who and what is revoked, under the names of that policy. */
  revocations: RevocationChecks<Db>;
  afterCommit: AfterCommit;
}

/** Where something is. A null member: it is about no environment or namespace in particular. */
export interface Place {
  environment: string | null;
  /** A namespace, or {@link EVERY_NAMESPACE}. */
  namespace: string | null;
}

/** In a {@link Place}: something that only readers of all namespaces may see. No namespace has this name. */
export const EVERY_NAMESPACE = '*';

/** A name that somebody may have meant, and the places in all of which they must be able to read to know it. */
export interface LikeName {
  name: string;
  places: readonly Place[];
}

/** Something that a call names, and who may know whether it exists. */
export interface Named {
  /** The read that shows it. */
  operation: PlainRead;
  /** The environment that the call itself states. */
  environment?: string | null;
  /** The places in all of which the caller must be able to read; null if it does not exist. */
  places: readonly Place[] | null;
  /** Of what does not exist: the open requests that make it, and where a caller must be able to read each. */
  pending?: readonly { id: string; places: readonly Place[] }[];
  /** How it is named, for the answer if it does not exist. */
  unknown: Omit<UnknownName, 'nearest'>;
  /** The names of the same kind that are like it. */
  like?: () => Promise<readonly LikeName[]>;
}

/** The environments of the active policy. */
export function environmentsOf(policy: Policy): string[] {
  return [...policy.broker.environments.keys()];
}

/** The context of plans under a policy, of what a proposer wrote. */
export function planContextOf(
  {
    now_ms,
    policy,
    deps: { policies, checks, store },
    revocations,
  }: Pick<WriteContext, 'now_ms' | 'policy' | 'revocations'> & {
    deps: Pick<ControlDeps, 'policies' | 'checks' | 'store'>;
  },
  proposer: Principal,
): PlanContext {
  const environments = environmentsOf(policy);
  return { now_ms, policy, policies, checks, revocations, proposer, environments, read: store.read };
}

/** Whether the policy has this environment. None at all counts as known. */
export function knowsEnvironment(policy: Policy, key: string | null): boolean {
  return key === null || policy.broker.environments.has(key);
}

/** The environment in the policy's input; its kind comes from the bundle's data. */
export function inputEnvironment(policy: Policy, key: string | null): { key: string; kind: string } | null {
  if (key === null) return null;
  return { key, kind: policy.broker.environments.get(key)?.kind ?? 'unknown' };
}

/** The part of a record that describes an effect. */
export interface EffectRecord {
  /** The versions of flags before and after. */
  flags?: readonly FlagMove[];
  freeze?: RecordedFreeze;
  activates?: NonNullable<Entry['activates']>;
  /** The details and pseudonyms that the record erases. */
  erases?: NonNullable<Entry['erases']>;
}

/** One effect of applying a request. */
export interface Effect {
  /**
   * Carries it out, in the transaction in which the policy has just allowed exactly this plan.
   *
   * @returns its description for the record
   */
  carryOut(writing: WriteContext, origin: VersionOrigin): Promise<EffectRecord>;
}

/** A current plan, and the effects of carrying it out. */
export interface PlanWithEffects {
  plan: Plan;
  effects: readonly Effect[];
  /** Stores what the bases name; called when a request with this plan is stored. */
  keep?(tx: Tx, nowMs: number): Promise<void>;
}

/** A content as a caller sends it: its time may be a text. `requests/content.ts` converts it. */
export type SentContent<Content extends RequestContent = RequestContent> = Omit<Content, 'start_ms'> & {
  start_ms: Moment | null;
};

/**
 * A kind of change request: one file in `requests/kinds`, and one entry in `request_kinds` of the policy's data.
 * Everything else (the workflow, approvals, records, lists, the command line) is the same for all kinds.
 */
export interface RequestKind<Content extends RequestContent = RequestContent> {
  /** Its name in content, policy and records: `<what>.<verb>`. */
  readonly name: string;
  /** The schema of the whole content, as `POST /v1/requests` accepts it. */
  readonly contentSchema: z.ZodType<SentContent<Content>>;
  /** The members that an edit may replace, besides those that all contents share. */
  readonly editable: Readonly<Record<string, z.ZodType>>;
  /** The schema of the policy's `request.object`, tagged by `type`; null if the kind has no object. */
  readonly objectSchema: z.ZodObject | null;
  /**
   * Increased when the code produces different plans for the same content. A plan of an older version is recomputed. If
   * a plan of the same version differs, its base has changed.
   */
  readonly planVersion: number;
  /** A plan takes so long that it is only made for those who may ask for it. */
  readonly isCostly?: true;
  /** The message for a conflicted request of this kind. */
  readonly conflict: string;
  /**
   * Computes what a content would do now. Read-only and deterministic: equal content and versions give an equal plan.
   *
   * @throws BrokerError `invalid_change` if the content cannot be carried out
   */
  plan(db: Db, content: Content, context: PlanContext): Promise<PlanWithEffects>;
  /** Whether a freeze holds back requests of this kind. Changes of flags are covered by their places instead. */
  frozenBy?(freeze: FreezeScope, plan: Plan): boolean;
  /** The environment of the request, or null. */
  environmentOf(content: Content, plan: Plan): string | null;
  /** The flags that it touches, without duplicates. */
  flagsOf(content: Content): string[];
  /** The namespaces whose readers may see a request with that plan; none: readers of any. */
  namespacesOf(plan: Plan): string[];
  /** What a content names. Refusals tell nothing of it to callers who may not see it. */
  namedBy(db: Db, content: Content, policy: Policy): Promise<Named[]>;
  /**
   * Of a kind that is about a person, who takes no part in it: whether a principal is that person, or acts for them.
   * Guardrails enforce it.
   */
  aboutPerson?(db: Db, plan: Plan, policy: Policy): Promise<(principal: Participant) => boolean>;
  /** A short summary of what applying it does, such as `lift the freeze …`; null if the changes describe it. */
  sentence(plan: Plan): string | null;
}

/** Who takes part in a request. */
export type Participant = Pick<Principal, 'id' | 'person' | 'started_by'>;

/** The kinds of requests that this broker supports. */
export interface RequestKinds {
  readonly all: readonly RequestKind[];
  /** One kind. @throws Error for an unknown kind: its requests were written by a later version of the broker */
  of(name: string): RequestKind;
}
