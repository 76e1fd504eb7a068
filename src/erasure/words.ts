import { hash } from 'node:crypto';
import { canonicalText, documentIn, isDistinct, isTelling } from './mentions.ts';

/*
 * Whom an archived input names. The input is sealed in a file that may be elsewhere, so the database keeps digests of its words:
 * enough to find each name, and nothing can be read but by whoever guesses the word. It finds too much rather than too little: a
 * name of several words, with a blank between them, is found wherever all of them are.
 */

/**
 * How much of the digest of a word is kept. An input that is taken to have a name would be erased with those that do, for good:
 * among ten million inputs with 300 words each, it happens to one name in six thousand million.
 */
const DIGEST_BYTES = 8;

/** A word, with what a name may have inside: `emp-1001`, `dana@example.org`, `github:5001`, `person:demo:dana`. */
const WORD = /[\p{L}\p{N}]+(?:[._@:+/#-][\p{L}\p{N}]+)*/gu;
/** What separates the parts of a word. For a name that is nobody else's, `mentionsOf` finds it among them, too. */
const BETWEEN_PARTS = /([:/#])/;
/** Behind this, a name is that of somebody at another provider, unless the id of their account is given. */
const OF_PROVIDER = /person:[^:\s]+:$/;

/** Digests of the words in a text, or in the texts of a JSON document, ascending, each once. */
export function wordsOf(text: string): Buffer {
  const words = new Set<string>();
  collect(documentIn(text) ?? text, words);
  const digests = new Set([...words].map(digestOfWord));
  return Buffer.concat([...digests].toSorted().map((digest) => Buffer.from(digest, 'hex')));
}

/** Finds the names of one person among the words of an input. @param names as for `mentionsOf` */
export function namesAmong(names: Iterable<string>): (words: Buffer) => boolean {
  // Each name is found where one of these ways has all of its words, and each word in one of its forms.
  const ways = [...new Set(names)].flatMap((name) => {
    const words = isTelling(name) ? wordsOfName(name) : [];
    return [[[whole(name)]], ...(words.length === 0 ? [] : [words])];
  });
  const wanted = ways.map((way) => way.map((forms) => forms.map(digestOfWord)));
  return (words) => {
    const there = new Set<string>();
    for (let at = 0; at < words.length; at += DIGEST_BYTES)
      there.add(words.toString('hex', at, at + DIGEST_BYTES));
    return wanted.some((way) => way.every((forms) => forms.some((form) => there.has(form))));
  };
}

/** The words of a name, each in the forms in which it may be known: as it is, and as part of a longer word. */
function wordsOfName(name: string): string[][] {
  const words = name.match(WORD) ?? [];
  if (!isDistinct(name)) return words.map((word) => [word]);
  return words.flatMap((word) => {
    const parts = partsOf(word);
    const pairs = parts.filter((part) => BETWEEN_PARTS.test(part));
    return (pairs.length === 0 ? [word] : pairs).map((part) => [
      within(part),
      ...(part === word ? [word] : []),
    ]);
  });
}

function collect(value: unknown, words: Set<string>): void {
  if (typeof value === 'string') {
    const text = canonicalText(value);
    for (const word of text.match(WORD) ?? []) {
      words.add(word);
      for (const part of partsOf(word)) if (part !== word) words.add(within(part));
    }
    words.add(whole(text));
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      if (!Array.isArray(value)) collect(name, words);
      collect(member, words);
    }
  }
}

/** The parts of a word, and each two of them that follow each other. */
function partsOf(word: string): string[] {
  const parts: string[] = [];
  const split = word.split(BETWEEN_PARTS);
  for (let at = 0; at < split.length; at += 2) {
    if (OF_PROVIDER.test(split.slice(0, at).join(''))) continue;
    parts.push(split[at] ?? '');
    if (at + 2 < split.length) parts.push(split.slice(at, at + 3).join(''));
  }
  return parts;
}

/** What stands for a part of a word. */
function within(part: string): string {
  return `/${part}`;
}

/** What stands for a whole text, because a short name counts only where it is one. For most texts of one word that is the word. */
function whole(text: string): string {
  return isTelling(text) && text.match(WORD)?.[0] === text ? text : `=${text}`;
}

function digestOfWord(word: string): string {
  return hash('sha256', word, 'hex').slice(0, 2 * DIGEST_BYTES);
}
