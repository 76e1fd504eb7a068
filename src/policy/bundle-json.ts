import { hasDuplicateMembers } from '../json-members.ts';
import { parseExactly } from '../json-numbers.ts';
import { readYaml } from '../yaml.ts';

/*
 * The structured files of a bundle. What OPA, the broker and the module's own parser could read in different ways is
 * refused: the policy hash would cover one document, and another would decide.
 */

/** Far deeper than any policy's data; the module's parser and the canonical form use a stack. */
const MAX_DEPTH = 100;

/**
 * Parses a JSON file of a bundle.
 *
 * @throws Error if it is not UTF-8, not JSON, nested too deeply, or has a duplicate member, a lone surrogate, or a number
 *   that a double cannot hold
 * @see RFC 8259 sections 4, 6 and 8
 */
export function parseBundleJson(bytes: Uint8Array): unknown {
  const text = decode(bytes);
  const value = parseExactly(text);
  assertShallow(value);
  if (hasDuplicateMembers(text)) throw new Error('an object has a duplicate member');
  assertWellFormed(value);
  return value;
}

/**
 * Parses a YAML file of a bundle, which must also have a JSON form.
 *
 * @throws Error as {@link parseBundleJson}, and for what YAML 1.1, which OPA reads, and YAML 1.2 read in different ways,
 *   such as `on` and `010`
 */
export function parseBundleYaml(bytes: Uint8Array): unknown {
  const text = decode(bytes);
  const read = readYaml(text);
  if ('faults' in read) throw new Error(read.faults.join('; '));
  const older = readYaml(text, '1.1');
  assertShallow(read.value);
  if ('faults' in older || JSON.stringify(older.value) !== JSON.stringify(read.value)) {
    throw new Error(
      'YAML 1.1 and YAML 1.2 read it in different ways: put words such as yes, on and 010 in quotes',
    );
  }
  assertWellFormed(read.value);
  return read.value;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new Error('it is not valid UTF-8', { cause: error });
  }
}

function assertShallow(value: unknown, depth = 0): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} levels deep`);
  for (const member of Object.values(value)) assertShallow(member, depth + 1);
}

/** Go replaces a lone surrogate by U+FFFD, and so hashes another text. */
function assertWellFormed(value: unknown): void {
  if (typeof value === 'string' && !value.isWellFormed()) throw new Error('a string has a lone surrogate');
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (!name.isWellFormed()) throw new Error('the name of a member has a lone surrogate');
    assertWellFormed(member);
  }
}
