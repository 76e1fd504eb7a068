import { z } from 'zod';
import type { Right } from './held-access.ts';
import { OTHER_NAMESPACE } from './places.ts';

/** What somebody may do, and where. */
export const rightSchema = z
  .object({
    operation: z.string(),
    about: z.array(z.string()).meta({
      description: 'The tiers, or the kinds of requests, that it is about; empty: the operation takes none.',
    }),
    environments: z.array(z.string()).meta({ description: 'Empty: it is about no place in particular.' }),
    namespaces: z.array(z.string()).meta({ description: '`*`: every namespace but those in `except`.' }),
    except: z.array(z.string()),
  })
  .meta({ id: 'ComparedRight' });
export type RightView = z.infer<typeof rightSchema>;

/** The most names of one line. Those of longer lines are compared as a whole. */
export const MAX_NAMES = 50;
/** The most lines of each list. */
export const MAX_LINES = 200;

const sourceShape = {
  by: z.enum(['group', 'claim', 'trust_rule', 'principal']),
  issuer: z.string().nullable(),
  key: z.string(),
};

const sideSchema = z
  .object({
    principals: z.array(
      z.object({
        names: z.array(z.string()).meta({ description: `At most ${MAX_NAMES}.` }),
        count: z.int(),
        by: z.array(z.object(sourceShape)).meta({ description: 'The changed bindings that fit them.' }),
        rights: z.array(rightSchema),
      }),
    ),
    bindings: z
      .array(
        z.object({
          ...sourceShape,
          holders: z.int().meta({ description: 'How many known principals it fits.' }),
          rights: z.array(rightSchema),
        }),
      )
      .meta({ description: 'The same for whoever has a binding and nothing else, known or not.' }),
    left_out: z.int().meta({ description: `The number of lines beyond ${MAX_LINES}.` }),
  })
  .meta({ id: 'ComparedAccess' });
/** What is gained, or lost. */
export type AccessSide = z.infer<typeof sideSchema>;

/** The difference of access between two policies. */
export const accessDiffSchema = z
  .object({
    gained: sideSchema,
    lost: sideSchema,
    binding_changes: z
      .array(
        z.object({
          ...sourceShape,
          before: z.array(z.json()).nullable(),
          after: z.array(z.json()).nullable(),
        }),
      )
      .meta({ description: 'The role bindings whose rows differ.' }),
    trust_rules: z.array(
      z.object({
        rule: z.string(),
        change: z.enum(['added', 'removed', 'changed']),
        members: z.array(z.string()).meta({ description: 'The members that differ.' }),
        after: z.json(),
      }),
    ),
    persons: z.array(
      z.object({
        change: z.enum(['merged', 'separated']).meta({
          description:
            '`merged`: these names become one human. `separated`: they become several, who may approve what each other wrote.',
        }),
        names: z.array(z.string()),
      }),
    ),
    compared: z.object({ principals: z.int(), alike: z.int(), bindings: z.int(), places: z.int() }).meta({
      description: 'How many known principals, groups of alike ones, bindings and places were asked about.',
    }),
    notes: z
      .array(z.object({ code: z.string(), detail: z.string() }))
      .meta({ description: 'What this cannot tell.' }),
  })
  .meta({ id: 'AccessDiff' });
export type AccessDiff = z.infer<typeof accessDiffSchema>;

const EVERYWHERE = '*';

/**
 * Groups rights, so that each operation is listed once for the same places.
 *
 * @param named all namespaces that were compared by name
 */
export function viewOf(rights: readonly Right[], named: readonly string[]): RightView[] {
  const byOperation = Map.groupBy(rights, ({ operation, about }) => JSON.stringify([operation, about]));
  const placed = [...byOperation.values()].flatMap((same) => {
    const [{ operation, about } = { operation: '', about: null }] = same;
    return placesOf(same, named).map((places) => ({ operation, about, ...places }));
  });
  const alike = Map.groupBy(placed, ({ about: _, ...rest }) => JSON.stringify(rest));
  return [...alike.values()]
    .map((same) => {
      const [first] = same;
      if (first === undefined) throw new Error('a group is never empty');
      return { ...first, about: same.flatMap(({ about }) => (about === null ? [] : [about])).sort() };
    })
    .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

type Places = Pick<RightView, 'environments' | 'namespaces' | 'except'>;

function placesOf(rights: readonly Right[], named: readonly string[]): Places[] {
  const byEnvironment = Map.groupBy(rights, ({ environment }) => environment);
  const places = [...byEnvironment].map(([environment, same]) => ({
    environment,
    ...namespacesOf(same, named),
  }));
  const alike = Map.groupBy(places, ({ environment: _, ...rest }) => JSON.stringify(rest));
  return [...alike.values()].map((same) => ({
    environments: same.flatMap(({ environment }) => (environment === null ? [] : [environment])).sort(),
    namespaces: same[0]?.namespaces ?? [],
    except: same[0]?.except ?? [],
  }));
}

function namespacesOf(rights: readonly Right[], named: readonly string[]): Omit<Places, 'environments'> {
  const names = new Set(rights.flatMap(({ namespace }) => (namespace === null ? [] : [namespace])));
  return names.has(OTHER_NAMESPACE)
    ? { namespaces: [EVERYWHERE], except: named.filter((name) => !names.has(name)) }
    : { namespaces: [...names].sort(), except: [] };
}

/** The rights among these that are not among others. */
export function rightsBeyond(rights: readonly RightView[], others: readonly RightView[]): RightView[] {
  return rights.filter((right) => !everyPart(right, (part) => others.some((other) => covers(other, part))));
}

type Part = Omit<RightView, 'about' | 'environments' | 'namespaces'> &
  Record<'about' | 'environment' | 'namespace', string | null>;

function everyPart(
  { operation, about, environments, namespaces, except }: RightView,
  is: (part: Part) => boolean,
): boolean {
  const or = (names: readonly string[]) => (names.length === 0 ? [null] : names);
  return or(about).every((one) =>
    or(environments).every((environment) =>
      or(namespaces).every((namespace) => is({ operation, about: one, environment, namespace, except })),
    ),
  );
}

function covers(right: RightView, { operation, about, environment, namespace, except }: Part): boolean {
  const hasOrNone = (names: readonly string[], name: string | null) =>
    name === null ? names.length === 0 : names.includes(name);
  const isNamespaceCovered = right.namespaces.includes(EVERYWHERE)
    ? namespace === EVERYWHERE
      ? right.except.every((name) => except.includes(name))
      : namespace !== null && !right.except.includes(namespace)
    : hasOrNone(right.namespaces, namespace);
  return (
    right.operation === operation &&
    hasOrNone(right.about, about) &&
    hasOrNone(right.environments, environment) &&
    isNamespaceCovered
  );
}

/** A right in words, such as `request.approve (sensitive) in production, payments`. */
export function describeRight({ operation, about, environments, namespaces, except }: RightView): string {
  const of = about.length === 0 ? '' : ` (${about.join(', ')})`;
  if (environments.length === 0) return `${operation}${of}`;
  const but = except.length === 0 ? '' : ` but ${except.join(', ')}`;
  const inside = namespaces.includes(EVERYWHERE) ? `every namespace${but}` : namespaces.join(', ');
  return `${operation}${of} in ${environments.join(', ')}, ${inside}`;
}
