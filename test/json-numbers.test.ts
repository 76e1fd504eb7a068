import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findInexactNumber, isExactNumber, parseWithUnknownNumbers } from '../src/json-numbers.ts';

/* RFC 8259 section 6 and RFC 7493 section 2.2: which numbers two readers of JSON read alike. */

/** A written decimal as a fraction, without a double. */
function fractionOf(literal: string): { over: bigint; under: bigint } {
  const [mantissa = '', exponent = '0'] = literal.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const power = Number(exponent) - fraction.length;
  const digits = BigInt(whole + fraction);
  return power < 0
    ? { over: digits, under: 10n ** BigInt(-power) }
    : { over: digits * 10n ** BigInt(power), under: 1n };
}

/** Judges by integers alone: what comes back as text is what was written, and is no large integer. */
function isHeld(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  const [written, held] = [fractionOf(literal), fractionOf(String(value))];
  const size = written.over < 0n ? -written.over : written.over;
  return written.over * held.under === held.over * written.under && size <= (2n ** 53n - 1n) * written.under;
}

describe('a number that a double holds', () => {
  it.each([
    '0',
    '-0',
    '0.1',
    '1.0',
    '1e2',
    '0.000e999999',
    '100.50',
    '9007199254740991',
    '-9007199254740991',
    '1e15',
    '5e-324',
    '0.30000000000000004',
    `1${'0'.repeat(300)}e-300`,
  ])('%s is exact', (literal) => {
    expect(isExactNumber(literal)).toBe(true);
    expect(findInexactNumber(`{"a":[${literal}]}`)).toBeNull();
  });

  it.each([
    '9007199254740993',
    '-9007199254740993',
    '9007199254740992',
    '123456789012345678',
    '123456789012345680',
    '9.007199254740993e15',
    '90071992547409930e-1',
    '1e400',
    '-1e400',
    '1e21',
    '1e-400',
    '0.1000000000000000055511151231257827',
    '1.0000000000000000001',
    '1e99999999999999999999',
    '1e-99999999999999999999',
    `0.${'0'.repeat(5000)}1`,
  ])('%s is not', (literal) => {
    expect(isExactNumber(literal)).toBe(false);
    expect(findInexactNumber(`{"a":[${literal}]}`)).not.toBeNull();
    expect(parseWithUnknownNumbers(`{"a":[1,${literal}],"b":"${literal}"}`)).toEqual({
      a: [1, null],
      b: literal,
    });
  });

  it('is judged as by integers alone', () => {
    const digits = (max: number) => fc.stringMatching(new RegExp(`^\\d{1,${max}}$`));
    const literal = fc
      .tuple(
        fc.constantFrom('', '-'),
        digits(19).map((text) => text.replace(/^0+(?=\d)/, '')),
        fc.option(digits(19), { nil: null }),
        fc.option(fc.integer({ min: -340, max: 340 }), { nil: null }),
      )
      .map(
        ([sign, whole, fraction, exponent]) =>
          `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`,
      );
    fc.assert(
      fc.property(literal, (text) => {
        expect(isExactNumber(text)).toBe(isHeld(text));
        expect(findInexactNumber(`{"a":${text}}`) === null).toBe(isHeld(text));
      }),
      { numRuns: 5000, seed: 7 },
    );
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(isExactNumber(String(value))).toBe(true);
        expect(isExactNumber(String(value / 8))).toBe(true);
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  it('is not looked for inside of strings', () => {
    const text = String.raw`{"a\"9007199254740993":"\\","b":"x\\\"1e400","9007199254740993":1}`;
    expect(findInexactNumber(text)).toBeNull();
    expect(parseWithUnknownNumbers(text)).toEqual(JSON.parse(text));
  });
});
