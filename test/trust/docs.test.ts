import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseBrokerData } from '../../src/policy/data.ts';
import { platformOf } from '../../src/trust/platforms/platforms.ts';
import { trustRulesOf } from '../../src/trust/policy-rules.ts';
import { PLATFORM_NAMES } from '../../src/trust/rules.ts';

const text = readFileSync(new URL('../../docs/trust-rules.md', import.meta.url), 'utf8');
const examples = [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml = '']) => parse(yaml) as object);

describe('the examples of docs/trust-rules.md', () => {
  it('are sound rules, one for each platform', () => {
    const trust_rules = Object.assign({}, ...examples) as object;
    const environments = { production: { kind: 'production' } };
    const rules = trustRulesOf({ broker: parseBrokerData({ config: { environments, trust_rules } }) });
    const platforms = Object.values(rules).map((rule) => platformOf(rule).name);
    expect(platforms.toSorted()).toEqual([...PLATFORM_NAMES].toSorted());
  });
});
