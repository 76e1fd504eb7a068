import type { RequestKind, RequestKinds } from '../../decide/control.ts';
import { flagChange } from './flag-change.ts';
import { freezeLift } from './freeze-lift.ts';
import { personErase } from './person-erase.ts';
import { policyActivate } from './policy-activate.ts';
import { revocationLift } from './revocation-lift.ts';

/**
 * The built-in kinds of requests, one file each. A kind is added here and in `request_kinds` of the policy's data. The
 * union of contents, the filter of lists, the policy's input schema and the command line are derived from this list.
 */
export const REQUEST_KINDS: readonly RequestKind[] = [
  flagChange,
  freezeLift,
  revocationLift,
  policyActivate,
  personErase,
];

/** The registry of the built-in kinds. */
export const requestKinds: RequestKinds = createRequestKinds(REQUEST_KINDS);

/** Creates a registry of kinds. @throws Error if two kinds have the same name */
export function createRequestKinds(kinds: readonly RequestKind[]): RequestKinds {
  const byName = new Map(kinds.map((kind) => [kind.name, kind]));
  if (byName.size !== kinds.length) throw new Error('two kinds of requests have the same name');
  return {
    all: kinds,
    of: (name) => {
      const kind = byName.get(name);
      if (kind === undefined) throw new Error(`this broker does not know requests of kind ${name}`);
      return kind;
    },
  };
}
