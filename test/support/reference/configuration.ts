import { z } from 'zod';
import { VARIABLES as COMMAND_VARIABLES } from '../../../src/cli/output/variables.ts';
import { configSchema, VARIABLES } from '../../../src/config-schema.ts';
import { MASTER_KEY_VARIABLES } from '../../../src/keys/master-key-config.ts';
import { markdownTable } from './markdown.ts';

/** A key of the configuration. */
export interface Key {
  path: string;
  /** What holds without it: JSON, words, or null for nothing. */
  fallback: string | null;
  says: string | undefined;
}

type Json = z.core.JSONSchema.BaseSchema & { fallback?: string };

/** Every key that has a value of its own. An object is followed into its members, a list of objects into theirs. */
export function configurationKeys(): Key[] {
  return walk(z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as Json, '', false);
}

function walk(schema: Json, path: string, isRequired: boolean): Key[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, member]) =>
      walk(member as Json, path === '' ? name : `${path}.${name}`, schema.required?.includes(name) === true),
    );
  }
  const items = schema.items as Json | undefined;
  if (items?.properties !== undefined) return walk(items, `${path}[]`, false);
  return [{ path, fallback: fallbackOf(schema, isRequired), says: schema.description }];
}

/** Words never hide a default that the schema has. */
function fallbackOf(schema: Json, isRequired: boolean): string | null {
  if (schema.default !== undefined) return `\`${JSON.stringify(schema.default)}\``;
  return schema.fallback ?? (isRequired ? 'required' : null);
}

/** The generated part of docs/configuration.md. */
export function configurationReference(): string {
  const keys = configurationKeys().map(({ path, fallback, says = '' }) => [
    `\`${path}\``,
    fallback ?? 'none',
    says,
  ]);
  const overrides = Object.entries(VARIABLES).map(([name, place]) => [
    `\`${name}\``,
    `\`${place.join('.')}\``,
  ]);
  const masterKeys = Object.entries(MASTER_KEY_VARIABLES).map(([name, key]) => [
    `\`${name}\``,
    `\`${key}\`: the variable has the key itself`,
  ]);
  return [
    '## Keys',
    'Members of `issuers` and `workload_issuers` are written with `[]`.',
    markdownTable(['key', 'default', 'is'], keys),
    '## Environment variables of the broker',
    markdownTable(
      ['variable', 'overrides'],
      [['`COUNTERSIGN_CONFIG`', 'the file'], ...overrides, ...masterKeys],
    ),
    '## Environment variables of the command line',
    markdownTable(
      ['variable', 'is'],
      COMMAND_VARIABLES.map(({ name, says }) => [`\`${name}\``, says]),
    ),
    '`countersign --help` says in which order tokens are looked for.',
  ].join('\n\n');
}
