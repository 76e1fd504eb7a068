import { TokenRefused } from './refusal.ts';

/** The most actors of one chain. */
export const MAX_ACTORS = 5;

/** The longest name of an actor. */
const MAX_NAME = 512;

/** Who acts, and within it who acted before: the newest is outermost. @see RFC 8693 section 4.1 */
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
 * The actors of an `act` claim, newest first; none for a token without the claim. Only the first one acts now: the others
 * are for the record.
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
