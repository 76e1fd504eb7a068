import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { changeSchema } from '../../src/flags/changes.ts';
import { flagKeySchema, textSchema } from '../../src/flags/names.ts';
import { variantsSchema } from '../../src/flags/variants.ts';

function isAccepted(json: string): boolean {
  return changeSchema.safeParse(JSON.parse(json)).success;
}

describe('flag keys', () => {
  it.each(['a', '0', 'new-checkout', 'team.flag_1', 'x'.repeat(100)])('accept %s', (key) => {
    expect(flagKeySchema.safeParse(key).success).toBe(true);
  });

  it.each([
    '',
    'A',
    '-a',
    '.a',
    'a b',
    'a/b',
    'x'.repeat(101),
    'constructor',
    'prototype',
    '__proto__',
    'flag\n',
    'flаg',
    'ﬂag',
    'flag\u200b',
    'ıd',
  ])('refuse %j', (key) => {
    expect(flagKeySchema.safeParse(key).success).toBe(false);
  });

  it('hold nothing but lower-case ASCII, whatever is tried', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (key) => {
        if (flagKeySchema.safeParse(key).success) expect(Buffer.from(key).toString('latin1')).toBe(key);
      }),
    );
  });
});

describe('changes', () => {
  it.each([
    '{"action":"enable","flag":"a","by":"me"}',
    '{"action":"enable","flag":"a","__proto__":{"flag":"b"}}',
    '{"action":"enable"}',
    '{"action":"delete","flag":"a"}',
    '{"action":"update","flag":"a","set":{"namespace":"other"}}',
    '{"action":"update","flag":"a","set":{"retired":true}}',
    '{"action":"update","flag":"a","set":{"key":"b"}}',
    '{"action":"set_audience","flag":"a","audience":{"kind":"all","organizations":["x"]}}',
    '{"action":"set_audience","flag":"a","audience":{"kind":"some","organizations":["ümlaut"],"users":[]}}',
    '{"action":"set_audience","flag":"a","audience":{"kind":"some","organizations":[],"users":[{"id":"ann"}]}}',
    '{"action":"set_rollout","flag":"a","rollout":[{"variant":"on","percent":100.1}]}',
    '{"action":"set_rollout","flag":"a","rollout":[{"variant":"on","percent":0.0001}]}',
    '{"action":"set_rollout","flag":"a","rules":[{"name":"r","when":[],"serve":{"variant":"on"}}]}',
    '{"action":"set_rollout","flag":"a","rules":[{"name":"r","when":[{"attribute":"constructor","operator":"in","values":["x"]}],"serve":{"variant":"on"}}]}',
    '{"action":"return_to_version","flag":"a","version":0}',
  ])('refuse %s', (json) => {
    expect(isAccepted(json)).toBe(false);
  });

  it('accept each action in its plain form', () => {
    expect(isAccepted('{"action":"enable","flag":"a"}')).toBe(true);
    expect(isAccepted('{"action":"update","flag":"a","set":{"expires":null,"tier":"high-risk"}}')).toBe(true);
    expect(
      isAccepted(
        '{"action":"set_rollout","flag":"a","rollout":[{"variant":"on","percent":33.333},{"variant":"off","percent":66.667}]}',
      ),
    ).toBe(true);
  });

  it('have a JSON Schema, for the OpenAPI document', () => {
    const schema = JSON.stringify(z.toJSONSchema(changeSchema, { io: 'input' }));
    expect(schema).toContain('"set_audience"');
    expect(schema).toContain('"additionalProperties":{"type":["boolean","string","number","object"]}');
  });
});

describe('variants', () => {
  const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

  it.each([
    '{}',
    '[]',
    '{"on":null}',
    '{"on":[]}',
    '{"on":true,"off":"false"}',
    '{"on":true,"__proto__":false}',
    '{"constructor":true}',
    '{"on":{"a":{"__proto__":1}}}',
    '{"on":{"prototype":1}}',
    '{"on":"\\ud800"}',
    '{"on":1e400}',
    '{"a b":true}',
    `{"on":${nested(9)}}`,
    `{"on":${nested(5000)}}`,
    JSON.stringify(Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`v${index}`, true]))),
  ])('refuse %.60s', (json) => {
    expect(variantsSchema.safeParse(JSON.parse(json)).success).toBe(false);
    expect(Object.hasOwn(Object.prototype, 'a')).toBe(false);
  });

  it('accept eight levels of objects with lists', () => {
    expect(
      variantsSchema.safeParse(JSON.parse(`{"on":${nested(8)},"off":{"list":[1,null,"x"]}}`)).success,
    ).toBe(true);
  });
});

describe('texts for people', () => {
  const schema = textSchema(100);
  const at = (codePoint: number) => String.fromCodePoint(codePoint);

  it('refuse what shows an approver another text than it holds', () => {
    for (const text of ['', 'a\u0000b', '\ud800', 'x'.repeat(101)]) {
      expect(schema.safeParse(text).success).toBe(false);
    }
    expect(schema.safeParse('Zwei Zeilen:\n\tgrün 🎉').success).toBe(true);
  });

  it('end their lines in one way, so that a commit message has one digest on every system', () => {
    expect(schema.parse('one\r\ntwo\rthree\nfour')).toBe('one\ntwo\nthree\nfour');
    expect(schema.parse('\r\n\r\nx')).toBe('\n\nx');
  });

  // Unicode 16, PropList.txt, Bidi_Control.
  it.each([0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069])(
    'refuse the bidirectional control U+%x',
    (control) => {
      expect(schema.safeParse(`a${at(control)}b`).success).toBe(false);
    },
  );

  // Unicode 16, DerivedCoreProperties.txt, Default_Ignorable_Code_Point, without joiners and variation selectors.
  it.each([
    0xad, 0x34f, 0x115f, 0x1160, 0x17b4, 0x180e, 0x200b, 0x2060, 0x2064, 0x206a, 0x3164, 0xfeff, 0xffa0,
    0x1d173, 0xe0001, 0xe0041,
  ])('refuse the invisible U+%x', (invisible) => {
    expect(schema.safeParse(`a${at(invisible)}b`).success).toBe(false);
  });

  // Separators of lines and paragraphs, and interlinear annotations, which hide what they enclose.
  it.each([0x2028, 0x2029, 0xfff9, 0xfffa, 0xfffb])('refuse the separator or annotation U+%x', (other) => {
    expect(schema.safeParse(`a${at(other)}b`).success).toBe(false);
  });

  it.each(['می\u200cخواهم', 'क्\u200dष', '👩\u200d🚀', '❤\ufe0f', '葛\u{e0100}', '\u1820\u180b'])(
    'keep the joiners and variation selectors of %s',
    (text) => {
      expect(schema.safeParse(text).success).toBe(true);
    },
  );

  it.each([' ', '\t\n', '\u00a0', '\u2003\u3000', '\u200d', '\ufe0f', ' \u200c ', '\u2800', '\u0301'])(
    'refuse a text in which nothing can be seen: %j',
    (text) => {
      expect(schema.safeParse(text).error?.issues.map(({ message }) => message)).toEqual([
        'Write something visible.',
      ]);
    },
  );
});
