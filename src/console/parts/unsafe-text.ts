/** A part of a text: shown as it is, or as an escape with the reason. */
export interface Piece {
  text: string;
  why: string | null;
}

/** What shows nothing of itself: it reorders, hides or separates what is around it. */
const INVISIBLE =
  /(?![\n\t])[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\ufff9-\ufffb]/u;

/** Letters that look like Latin ones, in the alphabets that have many of them. */
const OTHER_ALPHABET = /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}]/u;
const LATIN = /\p{Script=Latin}/u;
const WORD = /[\p{L}\p{M}\p{N}_.-]+/gu;

/** A letter or digit of another block that is an ASCII one in another style, such as the mathematical letters. */
function isStyledAscii(character: string): boolean {
  return (
    /[^\0-\x7fªº]/u.test(character) &&
    /[\p{L}\p{Nd}]/u.test(character) &&
    /^[A-Za-z0-9]+$/.test(character.normalize('NFKC'))
  );
}

/**
 * Splits a text where something in it misleads: characters that are invisible or change the direction, letters and digits
 * that are ASCII in another style, and, within a Latin word, letters of other alphabets that look the same. Words that are wholly of another alphabet are text.
 */
export function piecesOf(text: string): Piece[] {
  const lookalikes = new Set<number>();
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!LATIN.test(word) || !OTHER_ALPHABET.test(word)) continue;
    let place = index;
    for (const character of word) {
      if (OTHER_ALPHABET.test(character)) lookalikes.add(place);
      place += character.length;
    }
  }
  const pieces: Piece[] = [];
  let plain = '';
  let place = 0;
  for (const character of text) {
    const why = INVISIBLE.test(character)
      ? 'a character that is invisible, or that changes the direction of the text'
      : lookalikes.has(place) || isStyledAscii(character)
        ? `looks like a Latin letter, but is another one: ${character}`
        : null;
    if (why === null) plain += character;
    else {
      if (plain !== '') pieces.push({ text: plain, why: null });
      plain = '';
      pieces.push({ text: `\\u{${character.codePointAt(0)?.toString(16)}}`, why });
    }
    place += character.length;
  }
  if (plain !== '') pieces.push({ text: plain, why: null });
  return pieces;
}

/** The same as a plain text, for attributes and JSON. */
export function safeText(text: string): string {
  return piecesOf(text)
    .map((piece) => piece.text)
    .join('');
}
