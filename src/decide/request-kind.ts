import type { z } from 'zod';
import type { InputChange } from '../flags/change-facts.ts';
import type { FlagMove } from '../log/append.ts';
import type { RequestObject } from '../policy/input.ts';
import type { Origin } from '../store/flags.ts';
import type { Db } from '../store/statement.ts';
import type { Writing } from './control.ts';

/** The version of one thing that a request is based on; 0 when it did not exist. */
export interface Base {
  /** What it is and which one, such as `state:<flag>@<environment>` or `freeze:<id>`. */
  of: string;
  version: number;
}

/** What a request would do, as it was computed when its content was written. It is kept with the request, as JSON. */
export interface Plan {
  /** {@link RequestKind.planVersion} of the code that made it. */
  version: number;
  /** What happens to flags; empty for kinds that change none. */
  changes: InputChange[];
  /** What the request is about; null for a change of flags. */
  object: RequestObject | null;
  /** The versions that it is based on. They are under the digest that people approve. */
  bases: Base[];
}

/** One thing that applying a request does. */
export interface Effect {
  /** What it is, as records name it: `flags.moved`, `freeze.lifted`. */
  type: string;
  /**
   * Does it, inside the transaction in which policy has just allowed exactly this plan.
   *
   * @returns how versions of flags moved
   */
  carryOut(writing: Writing, origin: Origin): Promise<readonly FlagMove[]>;
}

/** A plan of now, and what carrying it out does. */
export interface PlannedEffects {
  plan: Plan;
  effects: readonly Effect[];
}

/** What every content has; each kind adds members of its own. */
export interface RequestContent {
  kind: string;
  reason: string;
  ticket: string | null;
  /** `auto`: applied by the broker as soon as policy allows; `manual`: waits for a call to apply. */
  apply: 'auto' | 'manual';
  /** When to apply at the earliest, epoch milliseconds. Null: as soon as policy allows. */
  start_ms: number | null;
}

/** What a plan is made for. */
export interface PlanContext {
  now_ms: number;
  /** Every environment that the active policy knows. */
  environments: readonly string[];
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
  plan(db: Db, content: Content, context: PlanContext): Promise<PlannedEffects>;
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

/** Makes the registry of some kinds. @throws Error when two have one name */
export function createRequestKinds(kinds: readonly RequestKind[]): RequestKinds {
  const byName = new Map(kinds.map((kind) => [kind.name, kind]));
  if (byName.size !== kinds.length) throw new Error('two kinds of requests have one name');
  return {
    all: kinds,
    of: (name) => {
      const kind = byName.get(name);
      if (kind === undefined) throw new Error(`this broker does not know requests of kind ${name}`);
      return kind;
    },
  };
}
