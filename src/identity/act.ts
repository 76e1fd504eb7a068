import { TokenRefused } from './refusal.ts';

/** The maximum number of actors in a chain. */
export const MAX_ACTORS = 5;

/** The maximum length of an actor's name. */
const MAX_NAME = 512;

/** The acting party, with previous actors nested inside: the newest is outermost. @see RFC 8693 section 4.1 */
export interface ActClaim {
  sub: string;
  act?: ActClaim;
}

/** The `act` claim for a chain of actors. @param actors newest first; undefined for none */
export function actClaimOf(actors: readonly string[]): ActClaim | undefined {
  return actors.reduceRight<ActClaim | undefined>(
    (inner, sub) => (inner === undefined ? { sub } : { sub, act: inner }),
    undefined,
  );
}

/**
 * The actors of an `act` claim, newest first; empty for a token without the claim. Only the first one is the current
 * actor. The others are informational.
 *
 * @throws TokenRefused `claim_shape`, also for a chain of more than five
 */
export function actorsOf(act: unknown): string[] {
  const actors: string[] = [];
  for (let link = act; link !== undefined; link = link.act) {
    if (!isLink(link) || actors.length === MAX_ACTORS) throw new TokenRefused('claim_shape', 'act');
    actors.push(link.sub);
  }
  return actors;
}

function isLink(value: unknown): value is { sub: string; act?: unknown } {
  if (typeof value !== 'object' || value === null || !('sub' in value)) return false;
  return typeof value.sub === 'string' && value.sub !== '' && value.sub.length <= MAX_NAME;
}
