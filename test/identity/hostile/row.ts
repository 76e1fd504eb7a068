import type { RefusalReason } from '../../../src/identity/refusal.ts';
import { PLACES, type PlaceName } from '../../support/hostile-places.ts';
import type { HostileBench, Kind } from '../../support/hostile-tokens.ts';

/** What the log says of a refusal. */
export interface Refusal {
  reason: RefusalReason;
  note?: string;
  /** For a platform's token that no rule takes: the claim that speaks against it. */
  missed?: string;
}

/** One hostile token at one place. Attacks of one name differ only in how they write the same thing. */
export interface Row extends Refusal {
  attack: string;
  variant: string;
  at: PlaceName;
  token(bench: HostileBench): string | Promise<string>;
  /** Shows the token otherwise than the place does. */
  show?(bench: HostileBench, token: string): Promise<Response>;
  /** The place whose one answer it gets, where it is not that of the place itself. */
  answersAs?: PlaceName;
}

/** Where each attack on tokens in general is tried: wherever one is read. */
export const EVERYWHERE: readonly PlaceName[] = [
  'control',
  'flags',
  'flags_key',
  'subject',
  'sponsor',
  'actor',
  'introspect',
  'introspect_caller',
  'revoke',
  'logout',
];

/** One way to write an attack on whatever token belongs to a place. */
export type Variant = [variant: string, make: (kind: Kind, bench: HostileBench) => string];

/** An attack that is the same at many places. */
export function everywhere(
  attack: string,
  refusal: Refusal,
  variants: readonly Variant[],
  at: readonly PlaceName[] = EVERYWHERE,
): Row[] {
  return at.flatMap((place) =>
    variants.map(([variant, make]) => ({
      attack,
      variant,
      at: place,
      ...refusal,
      token: (bench: HostileBench) => make(bench.kinds[PLACES[place].base], bench),
    })),
  );
}

/** {@link EVERYWHERE} but for these. */
export function everywhereBut(...places: PlaceName[]): PlaceName[] {
  return EVERYWHERE.filter((place) => !places.includes(place));
}
