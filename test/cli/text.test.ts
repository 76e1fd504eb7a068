import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printable, shellWord } from '../../src/cli/output/text.ts';

const texts = fc.string({ unit: 'binary', maxLength: 40 });

describe('text of others in a terminal', () => {
  it('never holds what could repaint the terminal, and never begins a line of its own', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const shown = printable(text);
        expect(shown).not.toMatch(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/u);
        for (const line of shown.split('\n').slice(1)) expect(line).toMatch(/^ {6}\| /);
      }),
    );
  });

  it('shows escape sequences as what they are', () => {
    expect(printable('\u001b[2Jclean')).toBe('\\u{1b}[2Jclean');
    expect(printable('safe\u202egnp.exe')).toBe('safe\\u{202e}gnp.exe');
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
