/*
 * What stands on a page for a value that differs each time: `ID`, `01a226be-…`, `sha256:9029bafa…`, an id in full. It is
 * filled from what commands have printed before.
 */

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const HASH = 'sha256:[0-9a-f]{64}';

/** Forms of values, each with the placeholders for it. */
const FORMS: readonly { name: string; written: RegExp; printed: RegExp }[] = [
  { name: 'hash', written: /sha256:[0-9a-f]*…/, printed: new RegExp(HASH) },
  { name: 'session', written: /session:[0-9a-f-]*…/, printed: new RegExp(`session:${UUID}`) },
  // The request that an output is about, else its first id: lists begin with the newest.
  {
    name: 'id',
    written: new RegExp(`[0-9a-f]{4,}-?[0-9a-f-]*…|${UUID}`),
    printed: new RegExp(`(?<![:\\w])${UUID}`),
  },
  { name: 'key', written: /[A-Za-z0-9_-]{3,}…/, printed: /(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-])/ },
];

/** A placeholder in words, which stands for an id of that kind. */
const NAMED = /(?<=^|\s)(ID|REQUEST|FREEZE|SESSION|REVOCATION|DECISION)(?=$|[\s;)])/g;

/** The values of one page. */
export interface Placeholders {
  /** Keeps what an output has. */
  learn(output: string): void;
  /** Sets what one placeholder stands for. */
  bind(written: string, value: string): void;
  /** Puts the addresses of this stage in the place of those on the page. */
  here(text: string): string;
  /** Puts values in the place of placeholders. @throws Error if no output has had one */
  fill(text: string): string;
}

/** @param fixed what is known before: the address of a broker, a variable that the demo has printed */
export function createPlaceholders(fixed: Readonly<Record<string, string>>): Placeholders {
  const bound = new Map<string, string>();
  const last = new Map<string, string>();

  function standsFor(written: string, form: string): string {
    const value = bound.get(written) ?? last.get(form);
    if (value === undefined) throw new Error(`nothing has printed what ${written} stands for`);
    // A placeholder that is written as a value is one value on the whole page.
    if (/[0-9a-f]{4}/.test(written)) bound.set(written, value);
    return value;
  }

  const here = (text: string) =>
    Object.entries(fixed).reduce((left, [from, to]) => left.replaceAll(from, to), text);

  return {
    learn: (output) => {
      for (const { name, printed } of FORMS) {
        const [value] = printed.exec(output) ?? [];
        if (value !== undefined) last.set(name, value);
      }
      const [, request] = new RegExp(`^request +(${UUID})`, 'm').exec(output) ?? [];
      if (request !== undefined) last.set('id', request);
      for (const [, label = '', id = ''] of output.matchAll(new RegExp(`^(\\w+) +(${UUID})\\b`, 'gm')))
        last.set(label.toUpperCase(), id);
    },
    bind: (written, value) => bound.set(written, value),
    here,
    fill: (text) => {
      const named = text.replaceAll(NAMED, (name) => {
        const value = last.get(name === 'ID' ? 'id' : name);
        if (value === undefined) throw new Error(`nothing has printed what ${name} stands for`);
        // An id in full is a placeholder, too: this one stands for itself.
        bound.set(value, value);
        return value;
      });
      const filled = FORMS.reduce(
        (left, { name, written }) =>
          left.replaceAll(new RegExp(`(?<![\\w:-])(?:${written.source})`, 'g'), (word) =>
            standsFor(word, name),
          ),
        named,
      );
      return here(filled);
    },
  };
}

/**
 * Compares an output with the lines that a page shows, and binds their placeholders. A line `…` stands for any lines.
 *
 * @returns the first line of the page that was not printed, or what was printed beyond them; null if there is none
 */
export function differenceOf(
  shown: readonly string[],
  output: string,
  placeholders: Placeholders,
): string | null {
  const lines = output.trimEnd().split('\n');
  let at = 0;
  let isAnywhere = false;
  for (const line of shown) {
    if (line === '…') {
      isAnywhere = true;
      continue;
    }
    const { pattern, written } = patternOf(line.trimEnd());
    const found = lines.slice(at).findIndex((each) => pattern.test(each.trimEnd()));
    if (found === -1 || (found > 0 && !isAnywhere)) return line;
    const [, ...values] = pattern.exec((lines[at + found] ?? '').trimEnd()) ?? [];
    for (const [place, word] of written.entries()) placeholders.bind(word, values[place] ?? '');
    at += found + 1;
    isAnywhere = false;
  }
  return isAnywhere || at >= lines.length ? null : `(and no more, but there is: ${lines[at]})`;
}

/** A shown line as a pattern that captures what its placeholders stand for. */
function patternOf(line: string): { pattern: RegExp; written: string[] } {
  const written: string[] = [];
  const parts = line.split(/(\s+)/).map((part) => {
    const form = FORMS.find((each) => new RegExp(`^(?:${each.written.source})$`).test(part));
    if (form !== undefined) {
      written.push(part);
      return `(${form.printed.source})`;
    }
    return part
      .split('…')
      .map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/\s+/g, '\\s+'))
      .join('.*?');
  });
  return { pattern: new RegExp(`^${parts.join('')}$`), written };
}
