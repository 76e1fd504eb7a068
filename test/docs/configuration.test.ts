import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';
import { configSchema } from '../../src/config-schema.ts';
import { configurationKeys } from '../support/reference/configuration.ts';
import { readSources } from '../support/sources.ts';
import { readPage, tablesOf } from './pages.ts';

const page = readPage('docs/configuration.md');
const [, brokerVariables, commandVariables] = tablesOf(page);

describe('docs/configuration.md', () => {
  it('says of each key what it is', () => {
    const keys = configurationKeys();
    expect(keys.length).toBeGreaterThan(50);
    for (const { path, says } of keys) expect(says, path).toMatch(/^\S.*[^.\s]$/);
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
