import type { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { FlagDefinition, FlagState } from '../flags/model.ts';
import type { Credential } from '../identity/credential.ts';
import type { Entry, FlagMove, RecordedFreeze } from '../log/entry.ts';
import type { Operation } from '../operations.ts';
import type { Policies } from '../policy/active.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Store } from '../store/database.ts';
import type { VersionOrigin } from '../store/flags.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { AfterCommit } from '../store/writer.ts';
import type { Plan, PlanContext, RequestContent } from './plan.ts';
import type { RevocationChecks, Revocations } from './revocations.ts';

/*
 * What every use case is built from: a write (`write.ts`), a read (`read.ts`), a decision without a request
 * (`authorize.ts`), refusals, idempotency, and the edge to HTTP. Nothing here imports a domain: what domains have in common
 * is a type here, such as the kind of a request. `refusals.ts` alone knows their reason codes, to say who clears each.
 */

/** What every use case of the control plane is built from. */
export interface ControlDeps {
  store: Store;
  policies: Policies<Db>;
  revocations: Revocations<Db>;
  /** What requests can be about. */
  kinds: RequestKinds;
  clock: Clock;
  /** A new UUID of version 7 for that moment, so that ids sort by time. */
  newId: (nowMs: number) => string;
  /** The `acr` values of an issuer of persons that stand for at least this level, strongest first. */
  acrValuesFor: (issuer: string, level: number) => readonly string[];
  events: ControlEvents;
}

/** What the control plane tells others once it is durable. */
export interface ControlEvents {
  /** Flags of an environment changed; `version` is the environment's version after it. */
  flagsChanged(environment: string, version: number, flags: readonly ChangedFlag[]): void;
  /** Something was revoked, or a revocation was lifted. */
  revocationsChanged(): void;
  /** Signing keys were rotated, or one was revoked. */
  keysChanged(): void;
  /** A freeze was engaged or lifted. */
  freezesChanged(): void;
  /** Something was decided. */
  decided(operation: Operation, effect: string): void;
  /** Somebody used what they may: an operation was allowed, a plain read too. */
  used(use: Use): void;
}

/** One allowed operation, and where. */
export interface Use {
  principal: Principal;
  operation: Operation;
  environment: string | null;
  /** Null stands for an operation that names none. */
  namespaces: readonly (string | null)[];
}

/** A flag as it is served from now on; state and version are null where only its definition changed. */
export interface ChangedFlag {
  definition: FlagDefinition;
  state: FlagState | null;
  version: number | null;
}

/** Who calls, and what the call is correlated with. */
export interface Call {
  principal: Principal;
  /** What the caller showed; null for the broker's own principals. */
  credential: Credential | null;
  /** Id of the HTTP request, or null for the scheduler. */
  http_request_id: string | null;
}

/** One write as it runs inside the writing transaction: its transaction, its moment, the policy that it meets. */
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

/** The environments that the active policy knows. */
export function environmentsOf(policy: Policy): string[] {
  return [...policy.broker.environments.keys()];
}

/** Whether an environment is one of the policy's; none at all is no unknown one. */
export function knowsEnvironment(policy: Policy, key: string | null): boolean {
  return key === null || policy.broker.environments.has(key);
}

/** The environment as the policy's input has it; its kind comes from the bundle's data. */
export function inputEnvironment(policy: Policy, key: string | null): { key: string; kind: string } | null {
  if (key === null) return null;
  return { key, kind: policy.broker.environments.get(key)?.kind ?? 'unknown' };
}

/** What a record says of an effect. */
export interface EffectRecord {
  /** How versions of flags moved. */
  flags?: readonly FlagMove[];
  freeze?: RecordedFreeze;
  activates?: NonNullable<Entry['activates']>;
}

/** One thing that applying a request does. */
export interface Effect {
  /**
   * Does it, inside the transaction in which policy has just allowed exactly this plan.
   *
   * @returns what the record says of it
   */
  carryOut(writing: WriteContext, origin: VersionOrigin): Promise<EffectRecord>;
}

/** A plan of now, and what carrying it out does. */
export interface PlanWithEffects {
  plan: Plan;
  effects: readonly Effect[];
}

/**
 * What a change request can be about: one file in `requests/kinds`, and one entry in `request_kinds` of the policy's data.
 * Everything else (the workflow, approvals, records, lists, the command line) is the same for all kinds.
 */
export interface RequestKind<Content extends RequestContent = RequestContent> {
  /** As it stands in content, policy and records: `<what>.<verb>`. */
  readonly name: string;
  /** The whole content, as `POST /v1/requests` takes it. */
  readonly contentSchema: z.ZodType<Content>;
  /** The members of the content that an edit may replace, besides what every content has. */
  readonly editable: Readonly<Record<string, z.ZodType>>;
  /** What policy sees as `request.object`, tagged by `type`; null where there is none. */
  readonly objectSchema: z.ZodObject | null;
  /**
   * Rises when plans of the same content look different than before. A plan of an older version is made anew; one of the
   * same version that differs means that what it is based on has moved.
   */
  readonly planVersion: number;
  /** Why a request of this kind conflicts, for people. */
  readonly conflict: string;
  /**
   * Computes what a content would do now. Reads only; the same content over the same versions gives the same plan.
   *
   * @throws BrokerError `invalid_change` for what cannot be done
   */
  plan(db: Db, content: Content, context: PlanContext): Promise<PlanWithEffects>;
  /** The environment that the request is about, or null. */
  environmentOf(content: Content, plan: Plan): string | null;
  /** The flags that it touches, each once. */
  flagsOf(content: Content): string[];
  /** What applying it does, in a few words for people, such as `lift the freeze …`; null where the changes say it. */
  sentence(plan: Plan): string | null;
}

/** The kinds of requests that a broker knows. */
export interface RequestKinds {
  readonly all: readonly RequestKind[];
  /** One kind. @throws Error for one that is not known: its requests come from a later version of the broker */
  of(name: string): RequestKind;
}
