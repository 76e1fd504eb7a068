/**
 * Detects member names with unnecessary escapes (`"organizatio\u006e"`). No serialiser produces them, and V8's JSON
 * parser can misread an escaped name: it can confuse it with a name that ends in a backslash and was parsed earlier, in
 * the document of another caller. A name without escapes is never misread, and the misread result always has a
 * backslash. Refusing such names therefore ensures that no attribute is lost or invented. Names that require escapes
 * cannot occur in a rule, so they are accepted.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SPACES: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** The four digits of an escape for a letter, a digit, an underscore or a hyphen: the characters of attribute names. */
const PLAIN_CHARACTER = /^00(?:2d|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f)$/i;

/** A string literal: its end, and whether it has an unnecessary escape. */
interface Literal {
  /** The position after the closing quote. */
  end: number;
  isOdd: boolean;
}

function readLiteral(json: Buffer, start: number): Literal {
  let isOdd = false;
  let place = start + 1;
  while (place < json.length && json[place] !== QUOTE) {
    if (json[place] !== BACKSLASH) {
      place += 1;
      continue;
    }
    const isUnicode = json[place + 1] === 0x75;
    isOdd ||= isUnicode && PLAIN_CHARACTER.test(json.toString('latin1', place + 2, place + 6));
    place += 2;
  }
  return { end: place + 1, isOdd };
}

function isName(json: Buffer, end: number): boolean {
  let place = end;
  while (SPACES.has(json[place])) place += 1;
  return json[place] === COLON;
}

/**
 * True when a member name has an escape for a letter, a digit, an underscore or a hyphen. Reads each byte once and
 * accepts any bytes. The parser validates the JSON afterwards.
 */
export function hasNeedlessEscapeInName(json: Buffer): boolean {
  if (!json.includes(BACKSLASH)) return false;
  let place = json.indexOf(QUOTE);
  while (place !== -1) {
    const { end, isOdd } = readLiteral(json, place);
    if (isOdd && isName(json, end)) return true;
    place = json.indexOf(QUOTE, end);
  }
  return false;
}
