import { afterEach, describe, expect, it } from 'vitest';
import { issuerConfigSchema } from '../../src/issuers/issuers.ts';
import { type Bench, createBench, presented, startIssuer, type TestIssuer } from './support.ts';

/*
 * The groups of a person, in every shape that providers send. What is unknown is never taken for none.
 */

const close: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const each of close.splice(0)) await each();
});

async function issuerWith(
  claims: Record<string, unknown> = {},
): Promise<{ issuer: TestIssuer; bench: Bench }> {
  const issuer = await startIssuer({ claims });
  close.push(issuer.server.close);
  return { issuer, bench: await createBench([issuer.config]) };
}

async function groupsOf(claims: Record<string, unknown>, token: Record<string, unknown>): Promise<string[]> {
  const { issuer, bench } = await issuerWith(claims);
  return (await bench.authenticator.authenticate(presented(`Bearer ${issuer.token(token)}`))).principal
    .groups;
}

async function refusalOf(claims: Record<string, unknown>, token: Record<string, unknown>): Promise<unknown> {
  const { issuer, bench } = await issuerWith(claims);
  const error = await bench.authenticator
    .authenticate(presented(`Bearer ${issuer.token(token)}`))
    .catch((thrown: unknown) => thrown);
  return { error, logged: bench.lines.at(-1)?.fields };
}

const GUIDS = Array.from(
  { length: 200 },
  (_, place) => `${String(place).padStart(8, '0')}-0000-4000-8000-000000000000`,
);

describe('the groups of a token', () => {
  it.each([
    ['a list', ['a', 'b'], ['a', 'b']],
    ['one string, which is one group', 'payments developers', ['payments developers']],
    ['null, which is none', null, []],
    ['absent, which is none', undefined, []],
    ['200 of 36 characters, the most that Entra sends', GUIDS, GUIDS],
  ])('may be %s', async (_what, groups, expected) => {
    expect(await groupsOf({}, { groups })).toEqual(expected);
  });

  it.each([
    ['a number', 7],
    ['true', true],
    ['an object', { a: true }],
    ['a list with a number', ['a', 1]],
    ['a list with a list', [['a']]],
    ['a group of more than 512 characters', ['x'.repeat(513)]],
  ])('are refused as %s, and the log names the claim', async (_what, roles) => {
    expect(await refusalOf({ groups: 'roles' }, { roles })).toMatchObject({
      error: { code: 'token_invalid' },
      logged: { reason: 'claim_shape', note: 'roles' },
    });
  });

  it.each([
    ['/realm_access/roles', { realm_access: { roles: ['a'] } }, ['a']],
    [
      '/resource_access/count~1er~0sign/roles',
      { resource_access: { 'count/er~sign': { roles: 'a' } } },
      ['a'],
    ],
    ['/realm_access/roles', { realm_access: {} }, []],
    ['/realm_access/roles', {}, []],
    ['realm_access.roles', { 'realm_access.roles': ['a'] }, ['a']],
    ['https://example.com/groups', { 'https://example.com/groups': ['a'] }, ['a']],
  ])('under %s are found as RFC 6901 says', async (groups, token, expected) => {
    expect(await groupsOf({ groups }, token)).toEqual(expected);
  });

  it.each([
    ['groups', '/realm_access~/roles'],
    ['person', '/employee~2id'],
    ['pass', ['/a~']],
  ])('and claims by a pointer that none can follow are refused at the start (%s)', (key, pointer) => {
    const parsed = issuerConfigSchema.safeParse({
      key: 'idp',
      issuer: 'https://login.example',
      audience: 'countersign',
      claims: { [key]: pointer },
    });
    expect(parsed.error?.issues[0]?.message).toContain('is not a JSON Pointer (RFC 6901)');
  });
});

describe('claims that the provider left out (OpenID Connect Core 5.6.2)', () => {
  const sources = { src1: { endpoint: 'https://graph.example/users/1/getMemberObjects' } };

  it.each([
    ['Entra, with an address', {}, { _claim_names: { groups: 'src1' }, _claim_sources: sources }, 'groups'],
    ['Entra, without', {}, { hasgroups: true }, 'groups'],
    ['Entra, without, as a string', {}, { hasgroups: 'true' }, 'groups'],
    [
      'beside groups',
      {},
      { groups: ['a'], _claim_names: { groups: 'src1' }, _claim_sources: sources },
      'groups',
    ],
    ['by a pointer', { groups: '/realm/roles' }, { _claim_names: { realm: 'src1' } }, 'realm'],
    ['a passed claim', { pass: ['department'] }, { _claim_names: { department: 'src1' } }, 'department'],
    ['the person', { person: 'oid' }, { _claim_names: { oid: 'src1' } }, 'oid'],
  ])('are unknown and never none: %s', async (_what, claims, token, missing) => {
    expect(await refusalOf(claims, token)).toMatchObject({
      error: { code: 'claims_incomplete', message: expect.stringContaining(`the claim "${missing}"`) },
      logged: { reason: 'claim_left_out', note: missing },
    });
  });

  it('are named, too, where the provider never sends the one that names the person', async () => {
    expect(await refusalOf({ person: 'employee_number' }, {})).toMatchObject({
      error: { code: 'token_invalid', message: expect.stringContaining('no claim "employee_number"') },
      logged: { reason: 'claim_missing', note: 'employee_number' },
    });
  });

  it('do not matter where they are not read', async () => {
    const overage = { hasgroups: true, _claim_names: { groups: 'src1' }, _claim_sources: sources };
    expect(await groupsOf({ groups: 'roles' }, { ...overage, roles: ['approver'] })).toEqual(['approver']);
  });

  it.each(['groups', ['groups'], 1])('are refused where %j is in place of their names', async (names) => {
    expect(await refusalOf({}, { _claim_names: names })).toMatchObject({
      logged: { reason: 'claim_shape', note: '_claim_names' },
    });
  });
});
