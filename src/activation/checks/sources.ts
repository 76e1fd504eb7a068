import type { AccessAnswer, BindingName } from '../../policy/access.ts';
import type { Policy } from '../../policy/policies.ts';
import type { Principal } from '../../principal.ts';
import { trustRulesOf } from '../../trust/policy-rules.ts';
import { samplePerson } from './samples.ts';

/** What a role binding is for: a group, the value of a claim, a trust rule, or the id of a principal. */
export type Source = Omit<BindingName, 'index'>;

/** A source as a key. */
export function keyOf({ by, issuer, key }: Source): string {
  return JSON.stringify([by, issuer, key]);
}

/** Rows of bindings by the key of their source. */
export type BindingRows = ReadonlyMap<string, { source: Source; rows: readonly unknown[] }>;

/** The role bindings in the data of a policy, as far as they have the documented form. */
export function bindingRows({ data }: Pick<Policy, 'data'>): BindingRows {
  const bindings = membersOf(membersOf(membersOf(data).config).role_bindings);
  const found = new Map<string, { source: Source; rows: readonly unknown[] }>();
  const add = (source: Source, rows: unknown) => {
    found.set(keyOf(source), { source, rows: Array.isArray(rows) ? rows : [rows] });
  };
  for (const [issuer, groups] of entriesOf(bindings.groups)) {
    for (const [key, rows] of entriesOf(groups)) add({ by: 'group', issuer, key }, rows);
  }
  for (const [issuer, claims] of entriesOf(bindings.claims)) {
    for (const [claim, values] of entriesOf(claims)) {
      for (const [value, rows] of entriesOf(values))
        add({ by: 'claim', issuer, key: `${claim}=${value}` }, rows);
    }
  }
  for (const [key, rows] of entriesOf(bindings.trust_rules))
    add({ by: 'trust_rule', issuer: null, key }, rows);
  for (const [key, rows] of entriesOf(bindings.principals)) add({ by: 'principal', issuer: null, key }, rows);
  return found;
}

/** Everything that grants something under a policy, by its own account or its data: bindings, and trust rules. */
export function sourcesOf(policy: Policy, answer: AccessAnswer | null): Map<string, Source> {
  const listed = answer?.bindings ?? [];
  const rules = Object.keys(trustRulesOf(policy)).map(
    (key): Source => ({ by: 'trust_rule', issuer: null, key }),
  );
  const all = [...listed, ...[...bindingRows(policy).values()].map(({ source }) => source), ...rules];
  return new Map(all.map(({ by, issuer, key }) => [keyOf({ by, issuer, key }), { by, issuer, key }]));
}

/** The sources that fit a principal, bound or not. */
export function fittingSources({ id, kind, issuer, groups, claims, token }: Principal): Source[] {
  const rule: Source[] =
    token.trust_rule === null ? [] : [{ by: 'trust_rule', issuer: null, key: token.trust_rule }];
  if (kind === 'workload') return [...rule, { by: 'principal', issuer: null, key: id }];
  return [
    ...groups.map((key): Source => ({ by: 'group', issuer, key })),
    ...Object.entries(claims).flatMap(([claim, value]) =>
      [value].flat().map((one): Source => ({ by: 'claim', issuer, key: `${claim}=${one}` })),
    ),
    // An agent has nothing by its own id.
    ...(kind === 'agent' ? rule : [{ by: 'principal', issuer: null, key: id } as const]),
  ];
}

/**
 * The principals for whom a source is, and who have nothing else: nobody known has to.
 *
 * @param groups all groups by issuer, because an agent may have the groups of any sponsor
 */
export function samplesOf(
  { by, issuer, key }: Source,
  { groups, isAgentRule }: { groups: ReadonlyMap<string, string[]>; isAgentRule: (rule: string) => boolean },
): Principal[] {
  const name = `${by}:${key}`.slice(0, 400);
  switch (by) {
    case 'group':
      return [samplePerson(name, { issuer: issuer ?? '', groups: [key] })];
    case 'claim': {
      const at = key.indexOf('=');
      return [
        samplePerson(name, { issuer: issuer ?? '', claims: { [key.slice(0, at)]: key.slice(at + 1) } }),
      ];
    }
    case 'trust_rule':
      return isAgentRule(key)
        ? [...groups].map(([of, all], at) =>
            sampleAgent(`${name}:${at}`, key, samplePerson(name, { issuer: of, groups: all })),
          )
        : [sampleWorkload(`workload:${key}:sample`, key)];
    case 'principal':
      return [samplePrincipal(key, name)];
  }
}

function samplePrincipal(id: string, name: string): Principal {
  if (id.startsWith('person:')) return { ...samplePerson(name, { issuer: 'https://sample.invalid' }), id };
  const [, rule = ''] = id.split(':');
  return sampleWorkload(id, rule === 'countersign' ? null : rule);
}

function sampleWorkload(id: string, trust_rule: string | null): Principal {
  const sample = samplePerson(id, { issuer: 'https://sample.invalid' });
  // Without a person it is a service, about whose person there is no doubt.
  return { ...sample, id, kind: 'workload', person: null, token: { ...sample.token, trust_rule } };
}

function sampleAgent(name: string, rule: string, sponsor: Principal): Principal {
  return {
    ...sponsor,
    id: `agent:${rule}:${name}`,
    kind: 'agent',
    token: { ...sponsor.token, trust_rule: rule },
    act: [`workload:${rule}:sample`],
  };
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function entriesOf(value: unknown): [string, unknown][] {
  return Object.entries(membersOf(value)).toSorted(([one], [other]) => (one < other ? -1 : 1));
}
