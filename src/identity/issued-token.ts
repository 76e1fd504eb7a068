import { z } from 'zod';

/** The audiences of Countersign tokens. */
export const audienceSchema = z.union([
  z.enum(['control', 'audit']),
  z.string().regex(/^data:[a-z0-9][a-z0-9-]{0,62}$/),
]);

const DATA_AUDIENCE = 'data:';

/** The environment whose flags a token with this audience reads; null for the audiences that read none. */
export function dataEnvironmentOf(audience: string): string | null {
  return audience.startsWith(DATA_AUDIENCE) ? audience.slice(DATA_AUDIENCE.length) : null;
}

/** The maximum lifetime of an access token that the broker issues, in seconds. */
export const MAX_ISSUED_LIFE_S = 900;

/** The maximum lifetime of a delegation token, in seconds. One delegation serves several exchanges of an agent. */
export const MAX_DELEGATION_LIFE_S = 3600;

/** The maximum lifetime of a token that reads one request, in seconds. */
export const MAX_FOLLOW_LIFE_S = 3600;

/** The only algorithm of the broker's own tokens. */
export const ISSUED_ALGORITHM = 'EdDSA';
