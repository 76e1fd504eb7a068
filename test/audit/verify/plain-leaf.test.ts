import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAnyLeaf } from '../../../src/audit/verify/leaf.ts';
import { readPlainLeaf } from '../../../src/audit/verify/plain-leaf.ts';
import { LogFault } from '../../../src/tree/fault.ts';
import { createWriter, sampleLeaves } from './sample-log.ts';

/* The short way to read a leaf, beside the long one, which parses it and writes it again. */

const leaves = sampleLeaves();

/** Whether the short way reads a leaf. @throws Error if it does, and the long way reads something else or nothing */
function isPlain(bytes: Buffer): boolean {
  const plain = readPlainLeaf(bytes);
  if (plain !== null) expect(plain, bytes.toString()).toEqual(readAnyLeaf(bytes, 1));
  return plain !== null;
}

/** Whether the long way reads a leaf. */
function isRecord(bytes: Buffer): boolean {
  try {
    return readAnyLeaf(bytes, 1) !== null;
  } catch (error) {
    if (error instanceof LogFault) return false;
    throw error;
  }
}

describe('a leaf that is read the short way', () => {
  it('is nearly every one, without what activates, freezes, erases or publishes', () => {
    for (const leaf of leaves)
      expect(isPlain(Buffer.from(leaf))).toBe(
        ['activates', 'freeze', 'erases'].every((member) => leaf.includes(`"${member}":null`)) &&
          !leaf.includes('"snapshot":'),
      );
  });

  it('is read as the long way reads it, whatever single byte of it is changed, added or missing', () => {
    const honest = Buffer.from(leaves[4] ?? '');
    let [plain, valid] = [0, 0];
    for (let at = 0; at < honest.length; at += 1) {
      const byte = honest[at] ?? 0;
      for (const bytes of [
        [byte ^ 1],
        [byte ^ 0x20],
        [0x30],
        [0x5c],
        [0x1f],
        [0x7f],
        [0x80],
        [],
        [byte, byte],
      ]) {
        const changed = Buffer.concat([honest.subarray(0, at), Buffer.from(bytes), honest.subarray(at + 1)]);
        if (isPlain(changed)) plain += 1;
        else if (isRecord(changed)) valid += 1;
      }
    }
    expect(plain).toBeGreaterThan(1000);
    // Only what has a character that the short way leaves to the long one.
    expect(valid).toBeGreaterThan(0);
  });

  it('is read as the long way reads it, whatever stands in the place of a value', () => {
    const { write, leaves: log } = createWriter();
    write({
      operation: 'request.apply',
      votes: ['vote'],
      request: { id: 'one', from: 'pending', to: 'applied' },
      correlation: { http_request_id: 'id', ticket: 'T-1', ci_run: '1', token: null },
    });
    const [leaf = ''] = log;
    const values = [...leaf.matchAll(/(?<=[:[,])(null|\d+|"[^"]*"|\[\]|false)(?=[,\]}])/g)];
    expect(values.length).toBeGreaterThan(35);
    const others = fc.oneof(
      ...[fc.json({ maxDepth: 1 }), fc.double().map(String), fc.maxSafeNat().map(String)],
      fc.constantFrom(
        'null',
        '0',
        '00',
        '-0',
        '1e3',
        '1.0',
        '9007199254740993',
        '"',
        '[',
        '[]',
        '["a",]',
        '{}',
      ),
      fc.constantFrom(
        'true',
        'nullnull',
        ' 1',
        `"sha256:${'a'.repeat(64)}"`,
        '{"count":1,"digest":"a"}',
        '"\\u0061"',
      ),
    );
    fc.assert(
      fc.property(fc.nat(values.length - 1), others, (which, other) => {
        const { index = 0, 0: text = '' } = values[which] ?? {};
        isPlain(Buffer.from(`${leaf.slice(0, index)}${other}${leaf.slice(index + text.length)}`));
      }),
      { numRuns: 3000 },
    );
  });
});
