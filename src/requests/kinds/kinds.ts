import type { RequestKind, RequestKinds } from '../../decide/control.ts';
import { flagChange } from './flag-change.ts';
import { freezeLift } from './freeze-lift.ts';
import { revocationLift } from './revocation-lift.ts';

/**
 * The kinds of requests that the broker comes with, one file each. A kind is added here and in `request_kinds` of the
 * policy's data; the union of contents, the filter of lists, the policy's input schema and the command line follow.
 */
export const REQUEST_KINDS: readonly RequestKind[] = [flagChange, freezeLift, revocationLift];

/** The registry of the kinds that the broker comes with. */
export const requestKinds: RequestKinds = createRequestKinds(REQUEST_KINDS);

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
