import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCli } from '../../src/cli/cli.ts';
import { jsonText, printable, shellWord, table } from '../../src/cli/output/text.ts';
import { createProcessIo } from '../../src/cli/process-io.ts';
import { runCli } from '../../src/cli/program.ts';

const texts = fc.string({ unit: 'binary', maxLength: 40 });

/** What no terminal shows as itself, by properties of Unicode, and by examples of each. */
const UNSEEN = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}]/u;
const EXAMPLES = [
  0x1b, 0x7f, 0x9b, 0xad, 0x34f, 0x61c, 0x115f, 0x180e, 0x200b, 0x200d, 0x200e, 0x202e, 0x2028, 0x2060,
  0x2069, 0x3164, 0xfe0f, 0xfeff, 0xfff9, 0xe0041, 0xe0100,
];

describe('text of others in a terminal', () => {
  it('never holds what could repaint the terminal, and never begins a line of its own', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const shown = printable(text);
        expect(shown).not.toMatch(UNSEEN);
        for (const line of shown.split('\n').slice(1)) expect(line).toMatch(/^ {6}\| /);
      }),
    );
  });

  it('shows escape sequences as what they are', () => {
    expect(printable('\u001b[2Jclean')).toBe('\\u{1b}[2Jclean');
    expect(printable('safe\u202egnp.exe')).toBe('safe\\u{202e}gnp.exe');
  });

  it.each(EXAMPLES)('shows U+%x as an escape', (codePoint) => {
    expect(printable(`a${String.fromCodePoint(codePoint)}b`)).toBe(`a\\u{${codePoint.toString(16)}}b`);
  });

  it('is the same document in JSON, with everything visible', () => {
    const document = { all: EXAMPLES.map((codePoint) => String.fromCodePoint(codePoint)).join('x'), n: [1] };
    const text = jsonText(document);
    expect(JSON.parse(text)).toEqual(document);
    expect(text).not.toMatch(UNSEEN);
  });
});

describe('every output of a command', () => {
  const hidden = 'a\u200b\u{e0041}\u061cb';

  it('passes through one escape: results, notes and errors, for people and as JSON', async () => {
    const written: string[] = [];
    const io = {
      ...createProcessIo({}),
      stdout: (text: string) => written.push(text),
      stderr: (text: string) => written.push(text),
    };
    const cli = createCli(io);
    for (const json of [true, false]) {
      await cli.runLocal({ json }, async (output) => {
        output.print({ hidden }, () => hidden);
        output.note(hidden);
        return 0;
      });
    }
    for (const words of [
      [`--${hidden}`],
      ['whoami', '--broker', hidden],
      ['whoami', '--broker', hidden, '--json'],
    ]) {
      await runCli(words, io);
    }
    expect(written.filter((text) => text.includes('200b')).length).toBe(7);
    for (const text of written) {
      expect(text).not.toMatch(UNSEEN);
    }
  });
});

describe('a word of a printed command', () => {
  it('is read by a shell as that word, whatever it holds', () => {
    const words = fc.string({ unit: 'grapheme-ascii', maxLength: 20 });
    fc.assert(
      fc.property(words, (word) => {
        const out = execFileSync('sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' });
        expect(out).toBe(word);
      }),
      { numRuns: 60, examples: [["it's"], ['$(id)'], ['a b'], [''], ['`x`'], ['-n'], ['~']] },
    );
  });
});

describe('a table', () => {
  const rows = [
    [
      '0197f3a0-7c1e-7000-8000-000000000001',
      'pending',
      'set the audience of checkout.instant-refunds to acme, globex',
    ],
    ['0197f3a0-7c1e-7000-8000-000000000002', 'applied', 'enable it'],
  ];
  const head = ['ID', 'STATE', 'WHAT'];

  it('fits the terminal by going on in the next line, and keeps ids whole', () => {
    const lines = table(head, rows, 80).split('\n');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect(lines[1]).toBe('0197f3a0-7c1e-7000-8000-000000000001  pending  set the audience of');
    expect(lines[2]).toBe(`${' '.repeat(47)}checkout.instant-refunds to acme,`);
    expect(lines.at(-1)).toMatch(/^0197f3a0-7c1e-7000-8000-000000000002 {2}applied {2}enable it$/);
  });

  it('is as before without a terminal, or where there is room', () => {
    const whole = table(head, rows);
    expect(whole.split('\n')).toHaveLength(3);
    expect(table(head, rows, 500)).toBe(whole);
    expect(table(head, rows, null)).toBe(whole);
  });

  it('is a list of each row where its columns do not fit', () => {
    const lines = table(head, rows, 50).split('\n');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(50);
    expect(lines.slice(0, 3)).toEqual([
      'ID     0197f3a0-7c1e-7000-8000-000000000001',
      'STATE  pending',
      'WHAT   set the audience of',
    ]);
    expect(lines.slice(-4)).toEqual([
      '',
      'ID     0197f3a0-7c1e-7000-8000-000000000002',
      'STATE  applied',
      'WHAT   enable it',
    ]);
  });

  it.each([1, 20, 40, 60, 100])('loses nothing at a width of %i', (width) => {
    const text = table(head, rows, width).replaceAll(/\s+/g, '');
    for (const cell of rows.flat()) {
      for (const word of cell.split(' ')) expect(text).toContain(word);
    }
  });
});
