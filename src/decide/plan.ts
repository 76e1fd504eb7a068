import type { InputChange } from '../flags/change-facts.ts';
import type { RequestObject } from '../policy/input.ts';

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
