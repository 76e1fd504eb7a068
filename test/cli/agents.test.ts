import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { claimsOf, jobToken, startAgentBroker } from '../tokens/agents.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let person: Terminal;

beforeAll(async () => {
  t = await startAgentBroker();
  await createFlag(t, 'ledger', { tier: 'sensitive' });
});
afterAll(() => t.close());
beforeEach(() => {
  person = createTerminal(t);
});

const propose = ['propose', '--environment', 'staging', '--reason', 'found', '--enable', 'ledger', '--json'];

describe('agents delegate', () => {
  it('prints the token alone, and says beside it what it is good for', async () => {
    const run = await person.as('dana', 'agents', 'delegate', 'release-agent', '--for', '1h');
    expect(run.code).toBe(0);
    expect(claimsOf(run.out.trim())).toMatchObject({ may_act: { sub: 'release-agent' } });
    expect(claimsOf(run.out.trim()).exp - claimsOf(run.out.trim()).iat).toBe(3600);
    expect(run.err).toMatch(/release-agent may act for you until .*: request\.propose/);
    expect(run.err).not.toContain(run.out.trim());
  });

  it('prints one document with --json, for the operations that are named', async () => {
    const words = [
      'agents',
      'delegate',
      'release-agent',
      '--operations',
      'flag.read, request.propose',
      '--json',
    ];
    const { json } = await person.as('dana', ...words);
    expect(json).toMatchObject({ scope: 'flag.read request.propose', expires_in: 900 });
  });

  it.each([
    [['nobody'], 1, 'invalid_request'],
    [['release-agent', '--for', '2h'], 1, 'invalid_request'],
    [['release-agent', '--for', 'soon'], 2, 'usage'],
    [['release-agent', '--for', '0m'], 2, 'usage'],
    [['release-agent', '--operations', ','], 2, 'usage'],
    [['release-agent', '--operations', 'request.approve'], 1, 'invalid_request'],
  ])('%j ends with %d', async (words, code, problem) => {
    const run = await person.as('dana', 'agents', 'delegate', ...words, '--json');
    expect([run.code, run.json.code]).toEqual([code, problem]);
  });

  it('by who may not is denied', async () => {
    const run = await person.as('alex', 'agents', 'delegate', 'release-agent', '--json');
    expect([run.code, run.json.code]).toEqual([4, 'policy_denied']);
  });
});

describe('the command of an agent', () => {
  const delegated = async (): Promise<string> =>
    (await person.as('dana', 'agents', 'delegate', 'release-agent')).out.trim();

  it('acts for the person, with the delegation in a variable or in a file', async () => {
    const delegation = await delegated();
    const file = join(t.folder, 'delegation');
    await writeFile(file, `${delegation}\n`, { mode: 0o600 });
    for (const env of [
      { COUNTERSIGN_DELEGATION_TOKEN: delegation },
      { COUNTERSIGN_DELEGATION_TOKEN_FILE: file },
    ]) {
      const agent = createTerminal(t, { env: { COUNTERSIGN_SUBJECT_TOKEN: await jobToken(t), ...env } });
      const run = await agent.run(...propose);
      expect(run.code).toBe(3);
      expect(run.json.proposer).toMatchObject({ kind: 'agent', person: 'emp-1001' });
      // The platform's token works once: the next command of the same job goes on with what was kept.
      const shown = await agent.run('show', run.json.id);
      expect([shown.code, shown.out]).toEqual([
        0,
        expect.stringMatching(/^by +agent:release-agent:.* for emp-1001,/m),
      ]);
    }
  });

  it('does not take what was kept for another delegation', async () => {
    const home = createTerminal(t).home;
    const job = { COUNTERSIGN_SUBJECT_TOKEN: await jobToken(t) };
    const env = { ...job, COUNTERSIGN_DELEGATION_TOKEN: await delegated() };
    const flags = ['flags', '--environment', 'staging'];
    expect((await createTerminal(t, { home, env }).run(...flags)).code).toBe(0);
    const other = createTerminal(t, {
      home,
      env: { ...job, COUNTERSIGN_DELEGATION_TOKEN: await delegated() },
    });
    const run = await other.run(...propose);
    expect([run.code, run.json.code]).toEqual([7, 'token_exchange_refused']);
  });

  it.each([
    ['without the agent', () => ({ COUNTERSIGN_DELEGATION_TOKEN: 'x.y.z' })],
    ['in a file that is not there', () => ({ COUNTERSIGN_DELEGATION_TOKEN_FILE: join(t.folder, 'nowhere') })],
  ])('does not go on as somebody else with a delegation %s', async (_name, env) => {
    const run = await createTerminal(t, { env: env() }).run(...propose);
    expect([run.code, run.json.code]).toEqual([1, 'delegation_not_usable']);
  });
});
