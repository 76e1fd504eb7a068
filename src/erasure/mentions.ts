import { foldPerson } from '../person-name.ts';
import { isPrincipalId } from '../principal.ts';

/*
 * Erasing a person: who is meant, what names them, and what is done with it. A request of kind `person.erase` asks for it
 * (`requests/kinds/person-erase.ts`); `log/erase.ts` is the only way to erase from the log itself.
 */

/** Finds the names of one person in texts and JSON documents. */
export interface Mentions {
  /** Patterns for `like`, over texts in lower case: every text that names the person matches one of them. */
  readonly patterns: readonly string[];
  /** Whether a text, or a string anywhere in a JSON document, is one of the names, or contains it as a whole word. */
  isIn(text: string): boolean;
  /**
   * The text, or the JSON document, with another name in place of each. Groups and claims of the person are left out: they
   * say who it was as well as a name does.
   */
  redact(text: string, by: string): string;
}

const LETTER = '[\\p{L}\\p{N}]';
/** A character that a name may have inside, and that separates words elsewhere. */
const JOINT = '[._@:+/#-]';
/** The same for a name that is nobody else's behind a scheme or in a path, as in `mailto:dana@example.org`. */
const NARROW_JOINT = '[._@+-]';
/** The part of a person's id before the name at the provider: whether that is the same human, the accounts say. */
const OF_PROVIDER = '(?<!person:[^:\\s]+:)';

/** @param names in canonical form */
export function mentionsOf(names: Iterable<string>): Mentions {
  const all = [...new Set(names)].toSorted((one, other) => other.length - one.length);
  const exact = new Set(all);
  const either = all.filter(isTelling).map(bounded).join('|');
  const word = either === '' ? '(?!)' : either;
  const [found, every] = [new RegExp(word, 'u'), new RegExp(word, 'giu')];
  const has = (text: string) => {
    const plain = canonicalText(text);
    return exact.has(plain) || found.test(plain);
  };

  function isWithin(value: unknown): boolean {
    if (typeof value === 'string') return has(value);
    if (typeof value !== 'object' || value === null) return false;
    return Object.entries(value).some(([name, member]) => has(name) || isWithin(member));
  }

  function redactText(text: string, by: string): string {
    if (!has(text)) return text;
    const redacted = text.replace(every, by);
    // A name in another form of Unicode, or in full-width letters.
    return has(redacted) ? by : redacted;
  }

  function redactValue(value: unknown, by: string): unknown {
    if (typeof value === 'string') return redactText(value, by);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((item) => redactValue(item, by));
    const members = Object.entries(value).map(([name, member]) => {
      const isTold = isPerson(value) && (name === 'groups' || name === 'claims');
      return [redactText(name, by), isTold ? (name === 'groups' ? [] : {}) : redactValue(member, by)];
    });
    return Object.fromEntries(members);
  }

  /** Whether an object is the person, as a principal. */
  function isPerson(value: object): boolean {
    const { id, kind, person } = value as Record<string, unknown>;
    return kind === 'person' && [id, person].some((name) => typeof name === 'string' && has(name));
  }

  return {
    patterns: all.map(patternOf),
    isIn: (text) => {
      const document = documentIn(text);
      return document === undefined ? has(text) : isWithin(document);
    },
    redact: (text, by) => {
      const document = documentIn(text);
      if (document === undefined) return redactText(text, by);
      return isWithin(document) ? JSON.stringify(redactValue(document, by)) : text;
    },
  };
}

/** Whether a name is looked for within sentences: a short word would be found in what others wrote about other things. */
export function isTelling(name: string): boolean {
  return name.length > 3 || /[^\p{L}]/u.test(name);
}

/** The pattern for a name where it is a whole word. */
function bounded(name: string): string {
  const escaped = name.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  const isNarrow = isDistinct(name);
  const joint = isNarrow ? NARROW_JOINT : JOINT;
  const behind = `(?<!${LETTER}|${LETTER}${joint})${isNarrow ? OF_PROVIDER : ''}`;
  return `${behind}${escaped}(?!${LETTER}|${joint}${LETTER})`;
}

/** Whether a name stands for one human wherever it is: an address, or letters with digits. A number may count anything. */
export function isDistinct(name: string): boolean {
  return !isPrincipalId(name) && (name.includes('@') || (/\p{N}/u.test(name) && /\p{L}/u.test(name)));
}

/** The object or the array that a text is; undefined if it is something else. */
export function documentIn(text: string): object | undefined {
  if (!/^[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as object;
  } catch {
    return undefined;
  }
}

/** A text as names are compared with it. */
export function canonicalText(text: string): string {
  // In ASCII, folding is lower case.
  return /^[\0-\x7f]*$/.test(text) ? text.toLowerCase() : foldPerson(text);
}

/** What is not plain ASCII may be written in other forms, and is compared after it was read. */
function patternOf(name: string): string {
  const loose = name.replaceAll(/[^\x21-\x7e]+|["\\]/g, '%');
  return `%${loose}%`;
}
