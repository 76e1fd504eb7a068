import type { Clock } from '../clock.ts';
import type { VerifiedToken } from './credential.ts';
import { type ShownProof, verifyProof } from './dpop.ts';
import { createProofMemory } from './proof-memory.ts';
import { TokenRefused } from './refusal.ts';
import type { ShownToken } from './shown-token.ts';

/** Proofs that are remembered at most. */
const PROOF_CAPACITY = 100_000;

/**
 * Adds to a verified token the proof of the key that it is bound to; a bearer token stays as it is. The token may have
 * been verified before, the proof never was: it works once for each of these checks.
 *
 * @throws TokenRefused `proof_unexpected`, `downgraded`, `proof_not_accepted`
 */
export type ProofCheck = (
  verified: VerifiedToken,
  sent: ShownToken,
  shown: ShownProof,
) => Promise<VerifiedToken>;

/** Creates a check with a memory of its own. @param deps.publicUrl what proofs have to name, see {@link verifyProof} */
export function createProofCheck(deps: { publicUrl: string; clock: Clock }): ProofCheck {
  const { publicUrl, clock } = deps;
  const memory = createProofMemory({ clock, capacity: PROOF_CAPACITY });
  return async (verified, { token, scheme }, shown) => {
    const { jkt, credential } = verified;
    if (jkt === null) {
      // Two readers must not see two methods: what looks like a proof counts, or is refused.
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
