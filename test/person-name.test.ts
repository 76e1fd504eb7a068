import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalPerson, foldPerson } from '../src/person-name.ts';

/*
 * The canonical form of persons, against the Unicode data of Node, which has other tables and another implementation. What
 * Unicode 16.0 assigns has the same case folding and normalization in all later versions (Unicode stability policies), so
 * nothing here depends on the version of Node.
 */

const CHANGES = /^\p{Changes_When_NFKC_Casefolded}$/u;

/** The code points of the planes that have characters, without surrogates and private use, as text. */
function* characters(): Generator<string> {
  for (let point = 0; point <= 0xe0fff; point += 1) {
    const isSkipped = (point >= 0xd800 && point <= 0xf8ff) || (point >= 0x40000 && point < 0xe0000);
    if (!isSkipped) yield String.fromCodePoint(point);
  }
}

function isUnassigned(character: string): boolean {
  const canonical = canonicalPerson(character);
  return 'fault' in canonical && canonical.fault === 'unassigned';
}

function faultOf(name: string): string | null {
  const canonical = canonicalPerson(name);
  return 'fault' in canonical ? canonical.fault : null;
}

describe('NFKC_Casefold (Unicode 16.0, section 3.13)', () => {
  it('changes exactly the code points with the property Changes_When_NFKC_Casefolded', () => {
    const wrong = [...characters()].filter(
      (character) =>
        !isUnassigned(character) && (foldPerson(character) !== character) !== CHANGES.test(character),
    );
    expect(wrong).toEqual([]);
  });

  // DerivedNormalizationProps.txt, NFKC_CF
  it.each([
    ['A', 'a'],
    ['\u00df', 'ss'],
    ['\u1e9e', 'ss'],
    ['\u0130', 'i\u0307'],
    ['\u0149', '\u02bcn'],
    ['\u017f', 's'],
    ['\u01c4', 'd\u017e'],
    ['\u0345', '\u03b9'],
    ['\u03c2', '\u03c3'],
    ['\u0587', '\u0565\u0582'],
    ['\u13f8', '\u13f0'],
    ['\u1c80', '\u0432'],
    ['\u1e9a', 'a\u02be'],
    ['\u1fb3', '\u03b1\u03b9'],
    ['\u2126', '\u03c9'],
    ['\u212a', 'k'],
    ['\u2163', 'iv'],
    ['\uab70', '\u13a0'],
    ['\ufb03', 'ffi'],
    ['\uff2b', 'k'],
    ['\u{10400}', '\u{10428}'],
    ['\u{1d400}', 'a'],
    ['\u00ad', ''],
    ['\ufe0f', ''],
  ])('of %j is %j', (character, form) => {
    expect(foldPerson(character)).toBe(form);
  });

  it('is one for canonically equivalent names (D147)', () => {
    const marks = fc.constantFrom('\u0345', '\u0301', '\u0308', '\u0323', '\u0327');
    const letters = fc.constantFrom('\u03b1', 'A', '\u0130', 'e', '\u1fb3', '\uac00', '\u1100\u1161');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(letters, fc.array(marks, { maxLength: 4 })), { maxLength: 5 }),
        (parts) => {
          const name = parts.map(([letter, own]) => letter + own.join('')).join('');
          expect(foldPerson(name.normalize('NFD'))).toBe(foldPerson(name));
          expect(foldPerson(name.normalize('NFC'))).toBe(foldPerson(name));
        },
      ),
    );
  });
});

describe('the canonical form of a person', () => {
  it('is its own canonical form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (name) => {
        expect(foldPerson(foldPerson(name))).toBe(foldPerson(name));
      }),
      { numRuns: 2000 },
    );
    const wrong = [...characters()].filter((each) => foldPerson(foldPerson(each)) !== foldPerson(each));
    expect(wrong).toEqual([]);
  });

  it.each([
    ['case', 'EMP-1001', 'emp-1001'],
    ['case that folds to two letters', 'STRASSE', 'stra\u00dfe'],
    ['composition (NFC and NFD)', 'zo\u00eb', 'zoe\u0308'],
    ['width (NFKC)', '\uff45mp-1001', 'emp-1001'],
    ['a ligature', 'o\ufb03ce', 'OFFICE'],
    ['the final sigma', '\u039f\u03a3', '\u03bf\u03c2'],
  ])('is one for names that differ in %s', (_what, one, other) => {
    expect(canonicalPerson(one)).toEqual(canonicalPerson(other));
    expect(faultOf(one)).toBeNull();
  });

  it('does not exist for a name with a default-ignorable code point, a blank, a control or an unassigned code point', () => {
    const refused = /[\p{Default_Ignorable_Code_Point}\p{White_Space}\p{C}]/u;
    const taken = [...characters()].filter(
      (character) => refused.test(character) && faultOf(`emp${character}1001`) === null,
    );
    expect(taken).toEqual([]);
  });

  it.each([
    ['a zero-width space', 'emp-\u200b1001', 'invisible'],
    ['a Hangul filler', 'emp\u3164', 'invisible'],
    ['a variation selector', 'emp\ufe0f', 'invisible'],
    ['a language tag', 'emp\u{e0061}', 'invisible'],
    ['a no-break space behind it', 'emp-1001\u00a0', 'blank'],
    ['a space inside', 'emp 1001', 'blank'],
    ['a braille cell without dots', 'emp\u2800', 'blank'],
    ['an accent that is compatible with a blank', 'emp\u00b4', 'blank'],
    ['a line feed', 'emp\n', 'blank'],
    ['a lone surrogate', 'emp\ud800', 'control'],
    ['a private-use character', 'emp\ue000', 'control'],
    ['a format character', 'emp\ufff9', 'control'],
    ['an unassigned code point', 'emp\u0378', 'unassigned'],
    ['a noncharacter', 'emp\uffff', 'unassigned'],
    ['nothing', '', 'empty'],
    ['more than 512 characters', 'e'.repeat(513), 'too_long'],
    ['more than 512 characters once folded', '\u0130'.repeat(300), 'too_long'],
  ])('does not exist for %s', (_what, name, fault) => {
    expect(faultOf(name)).toBe(fault);
  });
});
