import { z } from 'zod';
import type { Json } from '../json.ts';
import { isPrototypeName, variantNameSchema } from './names.ts';

/** The value of a variant. A flag's variants all have one type. */
export type VariantValue = boolean | string | number | { [key: string]: Json };

/** Variant names and their values. Read it with `Object.hasOwn`, never with a bare index. */
export type Variants = Record<string, VariantValue>;

/** The maximum nesting of an object variant. Real in-process evaluators fail completely on very deep documents. */
const MAX_DEPTH = 8;
const MAX_VARIANTS = 50;

type Report = (path: (string | number)[], message: string) => void;

function checkValue(value: unknown, path: (string | number)[], depth: number, report: Report): void {
  if (depth > MAX_DEPTH) report(path, `Nest at most ${MAX_DEPTH} levels.`);
  else if (typeof value === 'string') checkText(value, path, report);
  else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkValue(item, [...path, index], depth + 1, report);
  } else if (typeof value === 'object' && value !== null) checkMembers(value, path, depth, report);
  else if (!isPlainScalar(value)) report(path, 'Use a JSON value.');
}

function isPlainScalar(value: unknown): boolean {
  return (
    value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  );
}

function checkText(text: string, path: (string | number)[], report: Report): void {
  if (!text.isWellFormed()) report(path, 'Invalid Unicode: remove the lone surrogate.');
}

function checkMembers(value: object, path: (string | number)[], depth: number, report: Report): void {
  for (const [name, member] of Object.entries(value)) {
    if (isPrototypeName(name) || !name.isWellFormed())
      report([...path, name], 'This name is reserved; choose another.');
    else checkValue(member, [...path, name], depth + 1, report);
  }
}

/** The common type of all values of a flag's variants. */
export function variantType(variants: Variants): string {
  return typeof Object.values(variants)[0];
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkVariant(name: string, value: unknown, report: Report): void {
  const named = variantNameSchema.safeParse(name);
  if (!named.success) report([name], named.error.issues[0]?.message ?? 'Use another name.');
  else if (value === null || Array.isArray(value)) {
    report([name], 'Use a boolean, a string, a number or an object.');
  } else checkValue(value, [name], 0, report);
}

function checkVariants(value: unknown, report: Report): void {
  if (!isPlainObject(value)) {
    report([], 'Use an object of variant names and values.');
    return;
  }
  const entries = Object.entries(value);
  if (entries.length < 1 || entries.length > MAX_VARIANTS) report([], `Use 1 to ${MAX_VARIANTS} variants.`);
  for (const [name, member] of entries) checkVariant(name, member, report);
  if (new Set(entries.map(([, member]) => typeof member)).size > 1) {
    report([], 'All variants must have values of the same type.');
  }
}

/**
 * Variants: 1 to 50, all of one type, objects at most eight levels deep, no name that accesses a prototype.
 *
 * The check is custom because zod's records silently drop a member named `__proto__`, which must be refused here.
 */
export const variantsSchema = z
  .unknown()
  .superRefine((value, context) =>
    checkVariants(value, (path, message) => context.addIssue({ code: 'custom', path, message })),
  )
  .meta({
    type: 'object',
    minProperties: 1,
    maxProperties: MAX_VARIANTS,
    additionalProperties: { type: ['boolean', 'string', 'number', 'object'] },
  }) as z.ZodType<Variants>;

/** True if the flag has its own variant of this name. */
export function hasVariant(variants: Variants, name: string): boolean {
  return Object.hasOwn(variants, name);
}
