import { inputVersions } from '../../src/policy/input-versions.ts';
import { REQUEST_KINDS } from '../../src/requests/kinds/kinds.ts';

/** The versions of the input document, for the kinds of requests that the broker comes with. */
export const INPUTS = inputVersions(REQUEST_KINDS);
