import type { Clock } from '../clock.ts';
import type { FlagDefinition, FlagState } from '../flags/model.ts';
import type { Credential } from '../identity/credential.ts';
import type { Revocations } from '../identity/revocations.ts';
import type { Operation } from '../operations.ts';
import type { Policies } from '../policy/active.ts';
import type { Policy } from '../policy/policies.ts';
import type { Principal } from '../principal.ts';
import type { Store } from '../store/database.ts';
import type { Db, Tx } from '../store/statement.ts';
import type { AfterCommit } from '../store/writer.ts';

/** What every use case of the control plane is built from. */
export interface ControlDeps {
  store: Store;
  policies: Policies<Db>;
  revocations: Revocations<Db>;
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
export interface Writing {
  deps: ControlDeps;
  tx: Tx;
  call: Call;
  now_ms: number;
  policy: Policy;
  afterCommit: AfterCommit;
}

/** The environments that the active policy knows. */
export function environmentsOf(policy: Policy): string[] {
  return [...policy.broker.environments.keys()];
}

/** The environment as the policy's input has it; its kind comes from the bundle's data. */
export function inputEnvironment(policy: Policy, key: string | null): { key: string; kind: string } | null {
  if (key === null) return null;
  return { key, kind: policy.broker.environments.get(key)?.kind ?? 'unknown' };
}
