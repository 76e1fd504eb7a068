import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unpackArchive } from '../../src/policy/archive.ts';
import { buildBundle } from '../../src/policy/build-bundle.ts';
import type { Bundle } from '../../src/policy/bundle.ts';
import { readFolder } from '../../src/policy/bundle-folder.ts';
import { readCases, runCases } from '../../src/policy/cases.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { SHIPPED_MODULE, STARTER_DATA } from '../../src/policy/shipped.ts';
import { INPUTS } from '../support/inputs.ts';

/*
 * Another company replaces everybody and everything that the examples name. The tests of the Rego do not notice, and the
 * company's data is checked by itself and by its own cases.
 */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const OPA = join(ROOT, '.cache/bin/opa');

const everywhere = { namespaces: ['*'], environments: ['*'] };
const OWN_DATA = {
  'config/role_bindings': {
    groups: {
      'https://id.initech.example': {
        engineers: [
          { roles: ['flag-deployer', 'flag-approver', 'flag-reader', 'policy-maintainer'], ...everywhere },
        ],
        'on-call': [{ roles: ['flag-emergency-override', 'security-approver'], ...everywhere }],
        success: [{ roles: ['account-approver'], ...everywhere, organizations: ['umbrella'] }],
      },
    },
    claims: {},
    trust_rules: { pipeline: [{ roles: ['flag-deployer'], ...everywhere }] },
    principals: { 'workload:countersign:scheduler': [{ roles: ['scheduler'], ...everywhere }] },
  },
  'config/trust_rules': {
    pipeline: {
      issuer: 'https://token.actions.githubusercontent.com',
      audience: 'countersign',
      claims: { repository_id: '1', repository_owner_id: '2', ref: 'refs/heads/main', event_name: ['push'] },
      person: { claim: 'actor_id', prefix: 'github:' },
      grant: {
        audiences: ['control'],
        operations: ['request.propose', 'request.read'],
        environments: ['development', 'staging', 'production'],
        namespaces: ['*'],
        token_ttl_s: 300,
      },
    },
  },
  'config/persons': { 'github:77': 'milton@initech.example' },
};

const OWN_CASE = {
  name: 'an engineer reads what is to be read',
  whole_input: {
    schema_version: 2,
    operation: 'flag.read',
    principal: {
      id: 'person:initech:milton',
      kind: 'person',
      person: 'milton@initech.example',
      issuer: 'https://id.initech.example',
      groups: ['engineers'],
      claims: {},
      auth: { level: 1, acr: null, amr: [], auth_time_ms: 0 },
      token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
    },
    environment: { key: 'production', kind: 'production' },
    namespace: 'stapler',
    request: null,
    approvals: [],
    rejections: [],
    emergency: { frozen: false, freezes: [], engage: null, breakglass: null, breakglass_recent: 0 },
    clock: { now_ms: 0, tzdb: '2026a', zones: {} },
  },
  expected: { effect: 'allow', reasons: ['role_granted'] },
};

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-company-'));
  await cp(join(ROOT, 'policies'), join(folder, 'policies'), { recursive: true });
  await cp(join(ROOT, 'fixtures/decisions'), join(folder, 'fixtures/decisions'), { recursive: true });
  for (const [subject, value] of Object.entries(OWN_DATA)) {
    for (const place of ['starter', 'examples/demo/data']) {
      await write(`policies/${place}/${subject}/data.yaml`, JSON.stringify(value));
    }
    await write(`own/data/${subject}/data.yaml`, JSON.stringify(value));
  }
  await write('own/cases/reads.json', JSON.stringify([OWN_CASE]));
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function write(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

/** Builds the company's bundle without any tool but the broker's own code. */
async function build(): Promise<Bundle> {
  return buildBundle({
    module: await readFile(SHIPPED_MODULE),
    data: [await readFolder(STARTER_DATA), await readFolder(join(folder, 'own/data'))],
    cases: await readFolder(join(folder, 'own/cases')),
  });
}

describe("another company's data", () => {
  it('is a bundle without a compiler, and names nobody of the examples', async () => {
    const { data, broker } = await build();
    expect(JSON.stringify(data)).not.toMatch(/127\.0\.0\.1|emp-1|payments|acme/);
    expect([...broker.persons]).toEqual(Object.entries(OWN_DATA['config/persons']));
  });

  it('is checked by its own cases', async () => {
    const bundle = await build();
    const { evaluate } = await createEngine(bundle);
    const cases = readCases(await unpackArchive(bundle.archive));
    const outcome = runCases({ evaluate, inputs: INPUTS, version: bundle.broker.input_version }, cases);
    expect(outcome).toEqual({ passed: 1, failed: [] });
  });

  it('is checked by itself', async () => {
    const exceptions = { '*': { production: { approvals: { 'flag-aprover': 1 } } } };
    await write('own/data/config/exceptions/data.yaml', JSON.stringify(exceptions));
    const built = build().finally(() => rm(join(folder, 'own/data/config/exceptions'), { recursive: true }));
    await expect(built).rejects.toThrow(/flag-aprover/);
  });
});

// `make policies` builds it.
describe.skipIf(!existsSync(OPA))("the Rego, with another company's data beside it", () => {
  it('passes all of its tests, which bring their own', { timeout: 300_000 }, async () => {
    const { stdout } = await run(join(folder, 'policies/test.sh'), [OPA]);
    const [, passed, all] = /PASS: (\d+)\/(\d+)/.exec(stdout) ?? [];
    expect(Number(passed)).toBeGreaterThan(800);
    expect(passed).toBe(all);
  });

  it('finds nothing wrong with it', async () => {
    const { data } = await build();
    await write('built/data.json', JSON.stringify(data));
    const { stdout } = await run(OPA, [
      'test',
      join(folder, 'policies/countersign/config'),
      join(folder, 'built/data.json'),
    ]);
    expect(stdout).toMatch(/PASS: \d+/);
  });
});
