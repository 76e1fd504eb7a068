import { describe, expect, it } from 'vitest';
import { createVerification } from '../../../src/audit/verify/verification.ts';
import { LogFault } from '../../../src/tree/fault.ts';
import { publishLeaves, sampleLeaves, signer } from './sample-log.ts';

/* A published log in which one byte is another one. */

const leaves = sampleLeaves();
const files = publishLeaves(leaves);

function verify(changed: ReadonlyMap<string, Buffer> = new Map()) {
  const read = async (path: string) => changed.get(path) ?? (files.get(path) as Buffer);
  return createVerification({ read, pinned: signer.verifier }).advance();
}

/** Every so manieth byte, so that thousands of changes are tried in all, whatever the size of the file. */
const STEP = { bundle: 17, other: 1 };

describe('a published log', () => {
  it('is valid as it is', async () => {
    expect((await verify()).size).toBe(leaves.length);
  });

  it.each([...files.keys()])('is not valid with another byte anywhere in %s', async (path) => {
    const bytes = files.get(path) as Buffer;
    const step = path.includes('entries') ? STEP.bundle : STEP.other;
    let tried = 0;
    for (let at = 0; at < bytes.length; at += step) {
      for (const mask of [0x01, 0x20]) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ mask;
        const fault = await verify(new Map([[path, changed]])).catch((thrown: unknown) => thrown);
        expect(fault, `byte ${at} of ${path}, ^${mask}`).toBeInstanceOf(LogFault);
        expect((fault as LogFault).message).not.toBe('');
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThan(200);
  });
});
