/*
 * The paths of PATCH operations. @see RFC 7644 section 3.5.2, figure 7, with the filters of section 3.4.2.2, figure 1
 */

/** What a path names. */
export interface ScimPath {
  /** The attribute in lower case, after the URI of its schema if the path has one. */
  attribute: string;
  /** Whether it names a part: a sub-attribute, or the values that a filter selects. */
  isPart: boolean;
}

const ATTRIBUTE = /(?:[a-z][a-z\d+.-]*:[^\s"[\]()]*:)?[a-z][\w-]*(?:\.[a-z][\w-]*)?/iy;
const SUB_ATTRIBUTE = /\.[a-z][\w-]*/iy;
const SPACE = / +/y;
const NOT_THEN_OPEN = /(?:not *)?\( */iy;
const CLOSE = / *\)/y;
const PRESENT = /pr(?![\w-])/iy;
const COMPARISON = /(?:eq|ne|co|sw|ew|gt|ge|lt|le) +/iy;
const VALUE =
  /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/uy;
const JOIN = / +(?:and|or) +/iy;

/** Bounds the recursion; providers send no parentheses at all. */
const MAX_DEPTH = 20;

/** Parses a path. @returns null if it is outside of the grammar */
export function parsePath(text: string): ScimPath | null {
  const reader = readerOf(text);
  const path = reader.take(ATTRIBUTE);
  if (path === null) return null;
  const hasFilter = reader.take(/\[ */y) !== null;
  if (hasFilter) {
    if (!takeFilter(reader, 0) || reader.take(/ *\]/y) === null) return null;
    reader.take(SUB_ATTRIBUTE);
  }
  if (!reader.isAtEnd()) return null;
  const [attribute = '', sub] = splitName(path.toLowerCase());
  return { attribute, isPart: hasFilter || sub !== undefined };
}

/** The URI of a schema may contain dots, too: the sub-attribute is after the last colon. */
function splitName(path: string): [string, string | undefined] {
  const dot = path.indexOf('.', path.lastIndexOf(':') + 1);
  return dot === -1 ? [path, undefined] : [path.slice(0, dot), path.slice(dot + 1)];
}

interface Reader {
  /** Reads what the sticky pattern accepts here, or nothing. */
  take(pattern: RegExp): string | null;
  isAtEnd(): boolean;
}

function readerOf(text: string): Reader {
  let at = 0;
  return {
    take: (pattern) => {
      pattern.lastIndex = at;
      const found = pattern.exec(text)?.[0] ?? null;
      if (found !== null) at += found.length;
      return found;
    },
    isAtEnd: () => at === text.length,
  };
}

function takeFilter(reader: Reader, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  do {
    const isGroup = reader.take(NOT_THEN_OPEN) !== null;
    const isRead = isGroup
      ? takeFilter(reader, depth + 1) && reader.take(CLOSE) !== null
      : takeComparison(reader);
    if (!isRead) return false;
  } while (reader.take(JOIN) !== null);
  return true;
}

function takeComparison(reader: Reader): boolean {
  if (reader.take(ATTRIBUTE) === null || reader.take(SPACE) === null) return false;
  if (reader.take(PRESENT) !== null) return true;
  return reader.take(COMPARISON) !== null && reader.take(VALUE) !== null;
}
