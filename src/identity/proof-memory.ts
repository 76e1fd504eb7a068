import { hash } from 'node:crypto';
import type { Proof } from './credential.ts';

/** The hashes of proofs that this process has seen and that could still be replayed. */
export interface ProofMemory {
  /** Remembers a proof. @returns false if it was used before */
  claim(proof: Pick<Proof, 'jkt' | 'jti'>): boolean;
}

/**
 * Remembers the last `capacity` proofs. None is forgotten because of its age: if the clock jumps ahead and comes back, an
 * expired proof is accepted again. Beyond the capacity the oldest is forgotten: a flood by one caller must not block the
 * others, and writes also claim their proof in the store.
 */
export function createProofMemory({ capacity }: { capacity: number }): ProofMemory {
  const used = new Set<string>();
  return {
    claim({ jkt, jti }) {
      const name = hash('sha256', `${jkt} ${jti}`, 'base64');
      // A replay must not evict another proof.
      if (used.has(name)) return false;
      const oldest = used.size >= capacity ? used.values().next() : undefined;
      if (oldest && !oldest.done) used.delete(oldest.value);
      used.add(name);
      return true;
    },
  };
}
