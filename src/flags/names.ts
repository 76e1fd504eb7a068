import { z } from 'zod';

/**
 * Names that access an object's prototype. They are refused wherever a caller chooses a name, to prevent prototype
 * pollution in code that merges objects.
 */
const PROTOTYPE_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** True for a name that no flag, variant, attribute or organization may have. */
export function isPrototypeName(name: string): boolean {
  return PROTOTYPE_NAMES.has(name);
}

function nameSchema(pattern: RegExp, says: string) {
  return z
    .string()
    .regex(pattern, says)
    .refine((name) => !isPrototypeName(name), 'This name is reserved; choose another.');
}

/** The alphabet of all keys that people choose. */
export const keyPattern = /^[a-z0-9][a-z0-9._-]{0,99}$/;
const keySays =
  'Use 1 to 100 of a-z, 0-9, dot, underscore and hyphen, starting with a letter or digit. Only ASCII is allowed, which rules out look-alike keys.';

/** A flag key: lower-case ASCII, which rules out look-alikes. */
export const flagKeySchema = nameSchema(keyPattern, keySays);

/** A namespace: the same alphabet as a flag key. */
export const namespaceSchema = nameSchema(keyPattern, keySays);

/** An environment key: the same alphabet as a flag key. */
export const environmentKeySchema = nameSchema(keyPattern, keySays);

/** The name of a variant. */
export const variantNameSchema = nameSchema(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
  'Use 1 to 100 of A-Z, a-z, 0-9, dot, underscore and hyphen, starting with a letter or digit.',
);

/** The name of a top-level attribute of the evaluation context. No dots: flagd would interpret them as a path. */
export const attributeSchema = nameSchema(
  /^[A-Za-z][A-Za-z0-9_-]{0,99}$/,
  'Use 1 to 100 of A-Z, a-z, 0-9, underscore and hyphen, starting with a letter.',
);

const idSays =
  'Use 1 to 255 of A-Z, a-z, 0-9, dot, underscore, colon, at sign and hyphen, starting with a letter or digit.';
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,254}$/;

/** The id of an organization, as it is in the `organization` attribute of the context. ASCII, so that it has the same hash everywhere. */
export const organizationSchema = nameSchema(idPattern, idSays);

/** The id of a user, as it is in the `targetingKey` of the context. */
export const userSchema = nameSchema(idPattern, idSays);

/**
 * Characters that can make a text look different to an approver: control characters, bidirectional controls, separators of
 * lines and paragraphs, annotations, and the invisible characters of Unicode except those that scripts and emoji need.
 */
const MISLEADING =
  /(?![\p{Join_Control}\p{Variation_Selector}])[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\ufff9-\ufffb]/u;

/** A character with a shape. U+2800 is a symbol without dots, and the Hangul fillers are letters. */
const VISIBLE = /(?![\u2800\p{Default_Ignorable_Code_Point}])[\p{L}\p{N}\p{P}\p{S}]/u;

/** The ends of lines that other systems write: CR LF, and CR alone. */
const FOREIGN_LINE_END = /\r\n?/g;

/**
 * A text for people, 1 to `max` UTF-16 units. Something in it is visible. Of the characters that are not, it may have blanks,
 * line feeds, tabs, joiners and variation selectors.
 *
 * Every end of a line becomes a line feed, before anything is computed from the text: a commit message from another system
 * is the same reason, with the same digest.
 */
export function textSchema(max: number) {
  return z
    .string()
    .overwrite((text) => text.replaceAll(FOREIGN_LINE_END, '\n'))
    .min(1)
    .max(max)
    .refine((text) => text.isWellFormed(), 'Invalid Unicode: remove the lone surrogate.')
    .refine(
      (text) => !MISLEADING.test(text.replaceAll(/[\n\t]/g, '')),
      'Remove control, bidirectional and invisible characters.',
    )
    .refine((text) => text === '' || VISIBLE.test(text), 'Write something visible.');
}
