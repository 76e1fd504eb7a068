import type { Prover } from './dpop.ts';

/** The credentials that a call presents. */
export interface Token {
  value: string;
  /** The key that the token is bound to, and the address in its proofs; null for a bearer token. */
  bound: { prover: Prover; issuer: string } | null;
}
