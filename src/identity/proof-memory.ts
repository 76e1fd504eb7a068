import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Proof } from './credential.ts';

/** The hashes of proofs that this process has seen and that could still be replayed. */
export interface ProofMemory {
  /** Remembers a proof. @returns false if it was used before */
  claim(proof: Proof): boolean;
}

/**
 * Remembers proofs until they are no longer acceptable. Beyond `capacity`, the oldest is forgotten early: a flood by
 * one caller must not block the others, and writes also claim their proof in the store.
 */
export function createProofMemory({ clock, capacity }: { clock: Clock; capacity: number }): ProofMemory {
  const used = new Map<string, number>();

  /** Proofs expire roughly in order of arrival. One that expires out of order is forgotten a little later. */
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
      // A replay must not evict another proof.
      if (used.has(name)) return false;
      forget(1);
      used.set(name, expires_ms);
      return true;
    },
  };
}
