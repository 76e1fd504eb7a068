import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rebundle } from '../../fixtures/rebundle.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal } from './support.ts';

let t: TestBroker;
let bundle: string;

beforeAll(async () => {
  t = await startTestBroker();
  bundle = join(t.folder, 'bundle.tar.gz');
});
afterAll(() => t.close());

/** A file with a token in it, as an editor leaves it. */
async function save(token: string): Promise<string> {
  const file = join(t.folder, 'token.jwt');
  await writeFile(file, `${token}\n`);
  return file;
}

async function rebundled(edit: (config: { trust_rules: Record<string, Record<string, unknown>> }) => void) {
  const file = join(t.folder, 'edited.tar.gz');
  const edited = (data: unknown): unknown => {
    const copy = structuredClone(data) as {
      config: { trust_rules: Record<string, Record<string, unknown>> };
    };
    edit(copy.config);
    return copy;
  };
  await writeFile(file, await rebundle(await readFile(bundle), edited));
  return file;
}

describe('trust test', () => {
  it('says which rule a token matches and what it would get', async () => {
    const file = await save(await t.ci.token());
    const run = await createTerminal(t).as('morgan', 'trust', 'test', '--token', file);
    expect(run.code).toBe(0);
    expect(run.out).toContain('signature  verified');
    expect(run.out).toMatch(/^payments-deploy +yes$/m);
    expect(run.out).toMatch(/^checkout-service +no +repository_id +456790 +456789$/m);
    expect(run.out).toMatch(/^would get +a token for workload:payments-deploy:repo:acme/m);
    expect(run.out).toMatch(/^lives +300 s$/m);
  });

  it('reads the token from standard input, and exits with 4 when it would be refused', async () => {
    const token = await t.ci.token({ ref: 'refs/heads/x' });
    const terminal = createTerminal(t, { readStdin: async () => `${token}\n` });
    const run = await terminal.as('morgan', 'trust', 'test', '--token', '-', '--json');
    expect(run.code).toBe(4);
    expect(run.json).toMatchObject({
      signature: 'verified',
      would_issue: null,
      refusal: { reason: 'no_trust_rule' },
    });
    expect(run.out + run.err).not.toContain(token.split('.')[2]);
  });

  it('asks for the audience and the scope that are given', async () => {
    const file = await save(await t.ci.checkoutToken());
    const words = ['trust', 'test', '--token', file, '--json'];
    const flags = await createTerminal(t).as('morgan', ...words, '--audience', 'data:production');
    expect(flags.json.would_issue).toMatchObject({ audience: 'data:production', operations: [] });
    const control = await createTerminal(t).as('morgan', ...words, '--scope', 'flag.read');
    expect(control.json.refusal.reason).toBe('invalid_target');
  });

  it('is refused to whom policy does not let', async () => {
    const run = await createTerminal(t).as(
      'dana',
      'trust',
      'test',
      '--token',
      await save(await t.ci.token()),
      '--json',
    );
    expect([run.code, run.json.code]).toEqual([4, 'policy_denied']);
  });

  it('needs no broker with a bundle, and says that the signature was not checked', async () => {
    const token = await t.ci.token();
    const forged = `${token.slice(0, token.lastIndexOf('.'))}.${'A'.repeat(342)}`;
    const terminal = createTerminal(t, {
      fetch: () => Promise.reject(new Error('nothing may be sent')),
      env: { COUNTERSIGN_URL: '' },
    });
    const words = ['trust', 'test', '--bundle', bundle, '--token', await save(forged)];
    const run = await terminal.run(...words);
    expect(run.code).toBe(0);
    expect(run.out).toMatch(/^signature +NOT VERIFIED/m);
    const { json } = await terminal.run(...words, '--json');
    expect(json).toMatchObject({ signature: 'not_checked', would_issue: { rule: 'payments-deploy' } });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['has expired', { exp: 1 }, 'expired'],
    ['has no end', { exp: undefined }, 'claim_shape'],
    ['is another job', { repository_id: '1' }, 'no_trust_rule'],
    ['has no issuer', { iss: undefined }, 'issuer_not_accepted'],
  ])('refuses with a bundle what %s', async (_name, claims, reason) => {
    const words = [
      'trust',
      'test',
      '--bundle',
      bundle,
      '--token',
      await save(await t.ci.token(claims)),
      '--json',
    ];
    const run = await createTerminal(t).run(...words);
    expect([run.code, run.json.refusal.reason]).toEqual([4, reason]);
  });

  it('shows nothing of a token that could repaint the terminal', async () => {
    const token = await t.ci.token({ repository_id: '\u001b[2J1', sub: 'repo:\u202eacme' });
    const run = await createTerminal(t).run(
      'trust',
      'test',
      '--bundle',
      bundle,
      '--token',
      await save(token),
    );
    expect(run.out).toContain('\\u{1b}[2J1');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(run.out).not.toMatch(/[\u001b\u202e]/);
  });

  it.each<[string, string[]]>([
    ['no token', ['--bundle', 'x']],
    ['a file that is not there', ['--token', '/nowhere/token']],
    ['a scope with two spaces', ['--token', '-', '--scope', 'a  b']],
    ['nothing on standard input', ['--token', '-']],
  ])('is not usable with %s', async (_name, words) => {
    const run = await createTerminal(t).as('morgan', 'trust', 'test', ...words);
    expect(run.code).toBe(2);
  });
});

describe('trust lint', () => {
  it('finds no fault in the shipped bundle', async () => {
    const run = await createTerminal(t).run('trust', 'lint', '--bundle', bundle);
    expect([run.code, run.out]).toEqual([0, '4 trust rules, no faults\n']);
  });

  it('names every fault and exits with 1, and the broker does not take such a bundle', async () => {
    const file = await rebundled(({ trust_rules }) => {
      for (const rule of Object.values(trust_rules)) rule.audience = '*';
    });
    const run = await createTerminal(t).run('trust', 'lint', '--bundle', file, '--json');
    expect(run.code).toBe(1);
    expect(run.json.faults.map(({ rule }: { rule: string }) => rule).toSorted()).toEqual([
      'checkout-service',
      'payments-deploy',
      'policy-pipeline',
      'release-agent',
    ]);
    const words = ['trust', 'test', '--bundle', file, '--token', await save(await t.ci.token()), '--json'];
    expect((await createTerminal(t).run(...words)).json.code).toBe('trust_rules_unusable');
    const data = await readFile(file);
    await expect(startTestBroker({ archive: data })).rejects.toThrow(
      /payments-deploy: audience must be exact/,
    );
  });

  it('says what is no bundle', async () => {
    const file = join(t.folder, 'countersign.yaml');
    const run = await createTerminal(t).run('trust', 'lint', '--bundle', file, '--json');
    expect([run.code, run.json.code]).toEqual([1, 'bundle_unusable']);
  });
});
