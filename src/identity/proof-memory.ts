import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Proof } from './credential.ts';

/** The proofs that this process has seen and that could still be shown again, by their hashes. */
export interface ProofMemory {
  /** Remembers a proof. @returns false when it was used before */
  claim(proof: Proof): boolean;
}

/**
 * Remembers proofs until they would not be accepted any more. When more than `capacity` are alive, the oldest is
 * forgotten early: a flood by one caller must not stop the others, and what writes claims its proof in the store too.
 */
export function createProofMemory({ clock, capacity }: { clock: Clock; capacity: number }): ProofMemory {
  const used = new Map<string, number>();

  /** Proofs end about in the order in which they come; one that ends before its turn is forgotten a little later. */
  function forget(room: number): void {
    const now = clock();
    for (const [name, expiresMs] of used) {
      if (expiresMs > now && used.size + room <= capacity) return;
      used.delete(name);
    }
  }

  return {
    claim({ jkt, jti, expires_ms }) {
      const name = hash('sha256', `${jkt} ${jti}`, 'base64');
      forget(0);
      // A replay makes no room: it must not push out what another one would be known by.
      if (used.has(name)) return false;
      forget(1);
      used.set(name, expires_ms);
      return true;
    },
  };
}
