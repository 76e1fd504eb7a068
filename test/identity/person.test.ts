import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifiedPerson } from '../../src/identity/person.ts';
import { TokenRefused } from '../../src/identity/refusal.ts';

/** Letters that have one upper and one lower case, and what stands between them in names of persons. */
const nameCharacter = fc.constantFrom(...'abcxyzABCXYZ0189-_.@:+éüÉÜжЖ');
const name = fc.string({ unit: nameCharacter, minLength: 1, maxLength: 40 });

function canonicalOrRefused(value: string): string | null {
  try {
    return verifiedPerson(value);
  } catch (error) {
    expect(error).toBeInstanceOf(TokenRefused);
    return null;
  }
}

describe('the canonical spelling of a person', () => {
  it('is one for all case variants of a name', () => {
    fc.assert(
      fc.property(name, fc.infiniteStream(fc.boolean()), (written, upper) => {
        const variant = [...written]
          .map((character) => (upper.next().value ? character.toUpperCase() : character.toLowerCase()))
          .join('');
        expect(verifiedPerson(variant)).toBe(verifiedPerson(written));
      }),
    );
  });

  it('is its own canonical spelling', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (written) => {
        const person = canonicalOrRefused(written);
        if (person !== null) expect(verifiedPerson(person)).toBe(person);
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps apart names that differ in more than case', () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        fc.pre(one.toUpperCase() !== other.toUpperCase());
        expect(verifiedPerson(one)).not.toBe(verifiedPerson(other));
      }),
    );
  });

  it.each([
    ['an unassigned code point', 'emp\u0378'],
    ['a zero-width space', 'emp-\u200b1001'],
    ['a no-break space behind it', 'emp-1001\u00a0'],
    ['nothing', ''],
    ['more than 512 characters', 'e'.repeat(513)],
    ['more than 512 characters once folded', 'İ'.repeat(300)],
  ])('does not exist for %s', (_what, value) => {
    expect(canonicalOrRefused(value)).toBeNull();
  });
});
