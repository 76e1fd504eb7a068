import { createRequestKinds, type RequestKind, type RequestKinds } from '../../decide/request-kind.ts';
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
