import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalText, mentionsOf } from '../../src/erasure/mentions.ts';
import { namesAmong, wordsOf } from '../../src/erasure/words.ts';

const NAMES = ['emp-1001', 'dana@x.org', 'dana', '4711', 'person:demo:dana'];
const { isIn, redact } = mentionsOf(NAMES);
/** What is known of an archived input. */
const isAmongWords = (text: string, names = NAMES) => namesAmong(names)(wordsOf(text));

describe('a name', () => {
  it.each([
    'mailto:dana@x.org',
    'cc:emp-1001',
    'https://hr/people/emp-1001',
    'https://hr/people/EMP-1001#left',
    'spiffe://corp/user/emp-1001',
    'repo:o/r:actor:emp-1001',
    'emp-1001/emp-1002',
    'emp-1001:left',
    'CN=emp-1001,OU=ci',
    '{"claims":{"actor":"user:emp-1001"}}',
    'as dana said.',
  ])('is found in %s, and is gone when it is redacted', (text) => {
    expect([isIn(text), isAmongWords(text)]).toEqual([true, true]);
    expect(redact(text, 'erased:p')).not.toMatch(/emp-1001|dana/i);
  });

  it.each([
    'emp-10011',
    'temp-1001',
    'x.emp-1001',
    'emp-1001.example',
    'bob+dana@x.org',
    'dana@x.org.uk',
    'person:other:dana',
    'person:other:emp-1001',
    'https://forge/issues/4711',
    'person:demo:dana-alt',
  ])('is not found in %s, which is something else', (text) => {
    expect([isIn(text), isAmongWords(text)]).toEqual([false, false]);
  });
});

describe('the words of an archived input', () => {
  it('name whomever the input names', () => {
    const part = fc.constantFrom(
      'emp',
      'Emp-1001',
      '1001',
      'person:',
      'demo',
      'ｄａｎａ',
      '\u00ad',
      'li',
      ' ',
      '-',
      '.',
      ':',
      '/',
      '@',
      '#',
      '=',
    );
    const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
    const name = fc
      .array(part, { minLength: 1, maxLength: 4 })
      .map((parts) => canonicalText(parts.join('')).trim());
    let named = 0;
    fc.assert(
      fc.property(
        text,
        name.filter((each) => /\w/.test(each)),
        fc.boolean(),
        (around, wanted, isInside) => {
          const said = JSON.stringify({
            reason: isInside ? `${around} ${wanted.toUpperCase()}` : around,
            [around]: [wanted === around],
          });
          const isNamed = mentionsOf([wanted]).isIn(said);
          expect(isNamed && !isAmongWords(said, [wanted])).toBe(false);
          named += Number(isNamed);
        },
      ),
      { numRuns: 200 },
    );
    expect(named).toBeGreaterThan(20);
  });

  it('are digests, and few', () => {
    const words = wordsOf(JSON.stringify({ actor: 'emp-1001', team: ['emp-1001', 'payments'] }));
    expect(words.length).toBe(4 * 8);
    expect(words.toString('latin1')).not.toContain('emp');
    expect(isAmongWords('{"actor":"dan"}', ['dan'])).toBe(true);
    expect(isAmongWords('{"actor":"dan said so"}', ['dan'])).toBe(false);
    // Their digests begin with the same five bytes.
    expect(isAmongWords('{"actor":"member-92866"}', ['member-2682525'])).toBe(false);
  });
});
