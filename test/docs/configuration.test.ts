import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { configSchema, loadConfig } from '../../src/config.ts';
import { readSources } from '../support/sources.ts';
import { readPage, tablesOf } from './pages.ts';

const page = readPage('docs/configuration.md');
const [keys, brokerVariables, commandVariables] = tablesOf(page);

/** A key of the configuration: where it is, and its default as JSON, `required`, or null where it has neither. */
interface Key {
  path: string;
  fallback: string | null;
}

type Json = z.core.JSONSchema.BaseSchema;

/** Every key that has a value of its own. An object is followed into its members, a list of objects into theirs. */
function keysOf(schema: Json, path = '', isRequired = false): Key[] {
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, member]) =>
      keysOf(
        member as Json,
        path === '' ? name : `${path}.${name}`,
        schema.required?.includes(name) === true,
      ),
    );
  }
  const items = schema.items as Json | undefined;
  if (items?.properties !== undefined) return keysOf(items, `${path}[]`);
  const fallback = schema.default === undefined ? null : JSON.stringify(schema.default);
  return [{ path, fallback: isRequired ? 'required' : fallback }];
}

const schemaKeys = keysOf(z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as Json);

/** Keys that are required within a member that is itself optional: the page says what holds without the member. */
const WITHIN_OPTIONAL = ['issuers[].login.client_id', 'issuers[].web.client_id'];

describe('docs/configuration.md', () => {
  it('lists each key of the configuration once, and no other', () => {
    const listed = keys?.rows.map(([key]) => key).toSorted();
    expect(listed).toEqual(schemaKeys.map(({ path }) => `\`${path}\``).toSorted());
  });

  it('says the default of each key', () => {
    const listed = new Map(keys?.rows.map(([key, fallback]) => [key, fallback]));
    const stated = schemaKeys.filter(
      ({ path, fallback }) => fallback !== null && !WITHIN_OPTIONAL.includes(path),
    );
    expect(stated.length).toBeGreaterThan(20);
    for (const { path, fallback } of stated) {
      expect(listed.get(`\`${path}\``), path).toBe(fallback === 'required' ? fallback : `\`${fallback}\``);
    }
  });

  it('claims no default and no need for a key that has neither', () => {
    const listed = new Map(keys?.rows.map(([key, fallback]) => [key, fallback]));
    for (const { path } of schemaKeys.filter(({ fallback }) => fallback === null))
      expect(listed.get(`\`${path}\``), path).not.toBe('required');
  });

  it('has an example that the broker takes', () => {
    const [, example = ''] = /```yaml\n# countersign\.yaml\n(.*?)```/s.exec(page) ?? [];
    const { success, error } = configSchema.safeParse(parse(example));
    expect(error?.issues ?? []).toEqual([]);
    expect(success).toBe(true);
  });

  it('lists the environment variables that the broker reads', () => {
    const read = new Set<string>();
    const env = new Proxy<NodeJS.ProcessEnv>(
      {},
      {
        get: (_target, name) => {
          read.add(`\`${String(name)}\``);
          return undefined;
        },
      },
    );
    loadConfig({ env });
    expect(brokerVariables?.rows.map(([name]) => name).toSorted()).toEqual([...read].toSorted());
  });

  it('lists the environment variables that the command line reads', () => {
    const text = readSources('src/cli', '.ts')
      .map((source) => source.text)
      .join('\n');
    const read = new Set([...text.matchAll(/\benv\.(COUNTERSIGN_\w+)/g)].map(([, name]) => `\`${name}\``));
    expect(read.size).toBeGreaterThan(5);
    expect(commandVariables?.rows.map(([name]) => name).toSorted()).toEqual([...read].toSorted());
  });
});
