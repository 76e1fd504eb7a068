import type { Clock } from '../clock.ts';
import type { VerifiedToken } from './credential.ts';
import { type ShownProof, verifyProof } from './dpop.ts';
import { createProofMemory } from './proof-memory.ts';
import { TokenRefused } from './refusal.ts';
import type { ShownToken } from './shown-token.ts';

/** The maximum number of remembered proofs. */
const PROOF_CAPACITY = 100_000;

/**
 * Adds the verified proof of the bound key to a verified token. A bearer token stays unchanged. The token may come from
 * the cache, but a proof is always verified and works once per check.
 *
 * @throws TokenRefused `proof_unexpected`, `downgraded`, `proof_not_accepted`
 */
export type ProofCheck = (
  verified: VerifiedToken,
  sent: ShownToken,
  shown: ShownProof,
) => Promise<VerifiedToken>;

/** Creates a check with its own replay memory. @param deps.publicUrl the URL in proofs, see {@link verifyProof} */
export function createProofCheck(deps: { publicUrl: string; clock: Clock }): ProofCheck {
  const { publicUrl, clock } = deps;
  const memory = createProofMemory({ capacity: PROOF_CAPACITY });
  return async (verified, { token, scheme }, shown) => {
    const { jkt, credential } = verified;
    if (jkt === null) {
      // The method must be unambiguous: anything that looks like a proof is either verified or refused.
      if (scheme === 'DPoP') throw new TokenRefused('proof_unexpected', 'scheme');
      if (shown.dpop.length > 0) throw new TokenRefused('proof_unexpected', 'header');
      return verified;
    }
    if (scheme !== 'DPoP') throw new TokenRefused('downgraded');
    const proof = await verifyProof(shown, { publicUrl, clock, bound: { token, jkt } });
    if (!memory.claim(proof)) throw new TokenRefused('proof_not_accepted', 'replayed');
    return { ...verified, credential: { ...credential, proof } };
  };
}
