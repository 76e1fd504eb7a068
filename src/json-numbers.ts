/*
 * Numbers that a double cannot hold. `JSON.parse` replaces such a number by a neighbour without a word: what is stored,
 * hashed, approved or compared would be another number than the one that was written.
 */

/** In valid JSON: a string, which is skipped, or a number. */
const LITERALS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Every inexact number has 16 digits or an exponent, so a text without both needs no closer look. */
const SUSPECT = /[\d.]{16}|\d[eE]/;

/** A decimal number, as JSON and YAML write it. */
const DECIMAL = /^[-+]?(\d*)\.?(\d*)(?:[eE]([-+]?\d+))?$/;

/** An integer in base 16 or 8, as YAML writes it. */
const OTHER_BASE = /^0(?:x[\da-fA-F]+|o[0-7]+)$/;

/** The most characters of a number that a message shows. */
const MAX_SHOWN = 40;

/**
 * True if a double holds exactly the number that is written: it is neither rounded, nor too large, nor too small, and
 * no integer beyond 2^53 - 1, where neighbours become equal.
 *
 * @param literal a number in the notation of JSON or YAML; any other text is not exact
 * @see RFC 8259 section 6, RFC 7493 section 2.2
 */
export function isExactNumber(literal: string): boolean {
  if (OTHER_BASE.test(literal)) return BigInt(literal) <= BigInt(Number.MAX_SAFE_INTEGER);
  const written = decimalOf(literal);
  if (written === null) return false;
  const value = Number(literal);
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return false;
  const held = decimalOf(String(value));
  return held?.digits === written.digits && held.exponent === written.exponent;
}

/** A number without its sign: its digits without zeros at the ends, and the power of ten of the last one. */
interface Decimal {
  digits: string;
  exponent: number;
}

function decimalOf(literal: string): Decimal | null {
  const match = DECIMAL.exec(literal);
  if (match === null) return null;
  const [, whole = '', fraction = '', exponent = '0'] = match;
  const digits = whole + fraction;
  if (digits === '') return null;
  // Loops, because an expression such as /0+$/ takes quadratic time for a number made of zeros.
  let start = 0;
  while (digits[start] === '0') start += 1;
  if (start === digits.length) return { digits: '0', exponent: 0 };
  let end = digits.length;
  while (digits[end - 1] === '0') end -= 1;
  return {
    digits: digits.slice(start, end),
    exponent: Number(exponent) - fraction.length + (digits.length - end),
  };
}

/**
 * The first number of a JSON text that a double cannot hold, shortened for a message; null if there is none.
 *
 * @param json valid JSON; otherwise the result is meaningless
 */
export function findInexactNumber(json: string): string | null {
  if (!SUSPECT.test(json)) return null;
  for (const [literal] of json.matchAll(LITERALS)) {
    if (!literal.startsWith('"') && !isExactNumber(literal)) return shownNumber(literal);
  }
  return null;
}

/** A number as a message shows it. */
export function shownNumber(literal: string): string {
  return literal.length > MAX_SHOWN ? `${literal.slice(0, MAX_SHOWN)}…` : literal;
}

/** What to do about a number that a double cannot hold, for messages. */
export function inexactNumber(shown: string): string {
  return `The number ${shown} cannot be kept exactly. Use at most 15 digits, or write it as a string.`;
}

/**
 * Parses JSON that is only compared, never kept. A number that a double cannot hold becomes null: unknown, so that it
 * equals nothing.
 *
 * @throws SyntaxError if the text is not valid JSON
 */
export function parseWithUnknownNumbers(json: string): unknown {
  const value: unknown = JSON.parse(json);
  if (findInexactNumber(json) === null) return value;
  return JSON.parse(
    json.replace(LITERALS, (literal) =>
      literal.startsWith('"') || isExactNumber(literal) ? literal : 'null',
    ),
  );
}

/**
 * Parses JSON that is kept. Refuses numbers that a double cannot hold.
 *
 * @throws SyntaxError if the text is not valid JSON
 * @throws RangeError for such a number
 */
export function parseExactly(json: string): unknown {
  const value: unknown = JSON.parse(json);
  const inexact = findInexactNumber(json);
  if (inexact !== null) throw new RangeError(inexactNumber(inexact));
  return value;
}
