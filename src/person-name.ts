import { BLANK, CASE_FOLDING, CONTROL, IGNORABLE, UNASSIGNED } from './unicode-tables.ts';

/*
 * The names of persons. One human has one canonical form, in every token, in policy data and in the store, and everything
 * else only compares it. Directories treat `EMP-1001` and `emp-1001` as the same human, and tokens contain either. Merging
 * two humans costs at most an approval; splitting one breaks the two-person rule.
 *
 * The tables are those of one version of Unicode, so that an upgrade of Node does not change who is who. For code points
 * that this version assigns, normalization is the same in every later one (Unicode Normalization Stability Policy).
 */

/** The maximum length of a person, in UTF-16 units. */
const MAX_LENGTH = 512;

/** Why a text is not the name of a person. */
export type PersonFault = 'empty' | 'too_long' | 'unassigned' | 'invisible' | 'blank' | 'control';

/** What each fault means, as the end of a sentence about the name. */
export const PERSON_FAULTS: Readonly<Record<PersonFault, string>> = {
  empty: 'is empty',
  too_long: `is longer than ${MAX_LENGTH} characters`,
  unassigned: 'contains a code point that Unicode 16.0 does not assign',
  invisible: 'contains an invisible character',
  blank: 'contains a blank',
  control: 'contains a control, format or private-use character',
};

/**
 * The canonical form of a person: NFKC_Casefold of the name.
 *
 * @returns the fault for a name with characters that nobody sees or that have no meaning yet: it could be taken for
 *   somebody else
 * @see Unicode 16.0, section 3.13, definition D147 (identifier caseless matching)
 */
export function canonicalPerson(name: string): { person: string } | { fault: PersonFault } {
  const person = foldPerson(name);
  // Folding drops some of these characters, and makes blanks of others, such as the spacing accents.
  const fault = characterFault(name) ?? characterFault(person);
  if (fault !== null) return { fault };
  if (person === '') return { fault: 'empty' };
  if (person.length > MAX_LENGTH) return { fault: 'too_long' };
  return { person };
}

/** NFKC_Casefold of any text: of a name that was stored or written before only canonical ones were accepted. */
export function foldPerson(name: string): string {
  if (/^[\x21-\x7e]*$/.test(name)) return name.toLowerCase();
  return Array.from(name.normalize('NFD'), foldCharacter).join('').normalize('NFC');
}

/**
 * The property NFKC_Casefold of one character: case folding, NFKC and the removal of default-ignorable code points,
 * repeated until nothing changes.
 *
 * @see DerivedNormalizationProps.txt
 */
function foldCharacter(character: string): string {
  let before = character;
  let after = foldOnce(before);
  while (after !== before) {
    before = after;
    after = foldOnce(before);
  }
  return after;
}

function foldOnce(text: string): string {
  const kept = Array.from(text).filter((character) => !isIn(IGNORABLES, character));
  return kept
    .map((character) => FOLDING.get(character) ?? character)
    .join('')
    .normalize('NFKC');
}

function characterFault(text: string): PersonFault | null {
  for (const character of text) {
    const found = FAULTY.find(([, ranges]) => isIn(ranges, character));
    if (found !== undefined) return found[0];
  }
  return null;
}

/** Pairs of first and last code point, ascending. */
type Ranges = readonly (readonly [from: number, to: number])[];

const IGNORABLES = readRanges(IGNORABLE);

const FAULTY: readonly (readonly [PersonFault, Ranges])[] = [
  ['blank', readRanges(BLANK)],
  ['invisible', IGNORABLES],
  ['control', readRanges(CONTROL)],
  ['unassigned', readRanges(UNASSIGNED)],
];

const FOLDING = readFolding(CASE_FOLDING);

function isIn(ranges: Ranges, character: string): boolean {
  const point = character.codePointAt(0) ?? 0;
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[1] ?? 0) < point) low = middle + 1;
    else high = middle;
  }
  return (ranges[low]?.[0] ?? Number.POSITIVE_INFINITY) <= point;
}

function readRanges(table: string): Ranges {
  return wordsOf(table).map((word) => {
    const [from = '', to = from] = word.split('-');
    return [hex(from), hex(to)];
  });
}

function readFolding(table: string): ReadonlyMap<string, string> {
  const folding = new Map<string, string>();
  for (const word of wordsOf(table)) {
    const [source = '', target] = word.split('=');
    if (target === undefined) {
      for (const [from, to] of readRun(word)) folding.set(from, to);
    } else {
      folding.set(String.fromCodePoint(hex(source)), String.fromCodePoint(...target.split('.').map(hex)));
    }
  }
  return folding;
}

/** `41-5a+20`: every code point of a range, at a constant distance from its folding. */
function readRun(word: string): [string, string][] {
  const run = /^(?<from>[\da-f]+)(?:-(?<to>[\da-f]+)(?:\/(?<step>\d))?)?(?<sign>[+-])(?<distance>[\da-f]+)$/;
  const { from = '', to = from, step = '1', sign, distance = '' } = run.exec(word)?.groups ?? {};
  const delta = sign === '-' ? -hex(distance) : hex(distance);
  const pairs: [string, string][] = [];
  for (let point = hex(from); point <= hex(to); point += Number(step)) {
    pairs.push([String.fromCodePoint(point), String.fromCodePoint(point + delta)]);
  }
  return pairs;
}

function wordsOf(table: string): string[] {
  return table.trim().split(/\s+/);
}

function hex(digits: string): number {
  return Number.parseInt(digits, 16);
}
