/** The names of the built-in kinds of requests, for who needs no more than that. */
export const KIND_NAMES = [
  'flag.change',
  'freeze.lift',
  'revocation.lift',
  'policy.activate',
  'person.erase',
] as const;
