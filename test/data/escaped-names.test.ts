import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readContext } from '../../src/data/context.ts';
import { hasNeedlessEscapeInName } from '../../src/data/escaped-names.ts';

const isRefused = (json: string): boolean => hasNeedlessEscapeInName(Buffer.from(json));

describe('a needless escape in a name', () => {
  it.each([
    '{"organizatio\\u006e":1}',
    '{"\\u004frg":1}',
    '{"a\\u005Fb" \t\r\n:1}',
    '{"a\\u002db":1}',
    '{"a\\u0037":1}',
    '{"x":[{"y":{"\\\\\\u007A":1}}]}',
    '{"x":"\\\\","\\u0061":1}',
  ])('is found in %s', (json) => {
    expect(isRefused(json)).toBe(true);
  });

  it.each([
    '{"organization":"\\u006e"}',
    '{"a\\nb":1,"a\\/b":1,"gr\\u00f6\\u00dfe":1,"\\"":1,"\\u007f\\u0040\\u005b\\u0060\\u007b":1}',
    '{"\\\\u0061":1}',
    '{"x":"\\u0061", "y":["\\u0061"]}',
    '{"x":"\\"\\u0061\\":1"}',
    '',
    '"',
    '"\\u006',
  ])('is not found in %s', (json) => {
    expect(isRefused(json)).toBe(false);
  });
});

describe('a context that is read', () => {
  const CHARACTERS = ['a', 'z', '0', '_', '-', 'ä', '\\', '"', '/', '\n', '{', ':'];
  const written = (character: string) =>
    fc.constantFrom(
      JSON.stringify(character).slice(1, -1),
      `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  const name = fc
    .array(
      fc
        .constantFrom(...CHARACTERS)
        .chain((character) => fc.tuple(fc.constant(character), written(character))),
      { minLength: 1, maxLength: 4 },
    )
    .map((characters) => ({
      name: characters.map(([character]) => character).join(''),
      json: `"${characters.map(([, text]) => text).join('')}"`,
    }));

  it('has every attribute that it was sent and no other, whatever was parsed before it', () => {
    const isAttribute = (text: string): boolean => /^[a-z0-9_-]+$/.test(text);
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { minLength: 1, maxLength: 4, selector: (one) => one.name }),
        (names) => {
          const json = `{"context":{${names.map((one) => `${one.json}:1`).join(',')}}}`;
          const read = readContext(Buffer.from(json));
          if ('fault' in read) return;
          expect(Object.keys(read.context).filter(isAttribute).sort()).toEqual(
            names
              .map((one) => one.name)
              .filter(isAttribute)
              .sort(),
          );
        },
      ),
      { numRuns: 20_000 },
    );
  });
});
