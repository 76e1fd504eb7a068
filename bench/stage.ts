import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CiIssuer, startCiIssuer } from '../fixtures/identity/ci-issuer.ts';
import { rebundle, replaceText } from '../fixtures/rebundle.ts';
import { systemClock } from '../src/clock.ts';
import { startTokenIssuer, type TokenIssuer } from '../test/support/token-issuer.ts';

/** What every server of the benchmark is started from: a folder of its own, issuers, the shipped policy. */
export interface Stage {
  people: TokenIssuer;
  ci: CiIssuer;
  /** The shipped bundle with this stage's issuers. */
  bundleFile: string;
  file(name: string): string;
  /** Writes a broker's configuration, some members of which may be given. @returns its path */
  configure(database: string, changed?: object): Promise<string>;
  /** One token for each of so many clients. */
  personTokens(person: string, count: number): Promise<string[]>;
  /** A token of the platform of a relay. */
  relayToken(): Promise<string>;
  copyDatabase(from: string, to: string): Promise<void>;
  close(): Promise<void>;
}

/** Sets the stage on loopback and in a temporary folder. */
export async function setStage(): Promise<Stage> {
  const [people, ci, folder] = await Promise.all([
    startTokenIssuer(systemClock),
    startCiIssuer(),
    mkdtemp(join(tmpdir(), 'countersign-bench-')),
  ]);
  const file = (name: string) => join(folder, name);
  const bundleFile = file('bundle.tar.gz');
  const shipped = await readFile(new URL('../policies/examples/demo/bundle.tar.gz', import.meta.url));
  const issuers = { 'http://127.0.0.1:9401': people.issuer, 'http://127.0.0.1:9402': ci.issuer };
  await writeFile(
    bundleFile,
    await rebundle(shipped, (data) => withRelay(replaceText(data, issuers), ci.issuer)),
  );
  return {
    people,
    ci,
    bundleFile,
    file,
    configure: async (database, changed = {}) => {
      const path = file(`${database}.yaml`);
      const config = configFor({ people, ci, bundleFile, database: file(database) });
      await writeFile(path, JSON.stringify({ ...config, ...changed }));
      return path;
    },
    personTokens: (person, count) => Promise.all(Array.from({ length: count }, () => people.idToken(person))),
    relayToken: () => ci.token(RELAY_JOB),
    copyDatabase: async (from, to) => {
      await copyFile(file(from), file(to));
      for (const beside of ['master-key', 'acknowledged']) {
        await copyFile(file(`${from}.${beside}`), file(`${to}.${beside}`));
      }
    },
    close: async () => {
      await Promise.all([people.close(), ci.close()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The job that a relay runs as. */
const RELAY_JOB = { repository: 'acme/relay', repository_id: '456793' };

/** The data of the policy, with a trust rule by which a relay reads production. */
function withRelay(data: unknown, issuer: string): unknown {
  const { config } = data as { config: { trust_rules: Record<string, object> } };
  config.trust_rules['bench-relay'] = {
    issuer,
    audience: 'countersign',
    claims: {
      repository_id: RELAY_JOB.repository_id,
      repository_owner_id: '123456',
      event_name: ['push', 'workflow_dispatch'],
    },
    grant: {
      audiences: ['data:production'],
      operations: [],
      environments: ['production'],
      namespaces: ['*'],
      token_ttl_s: 600,
    },
  };
  return data;
}

function configFor(options: {
  people: TokenIssuer;
  ci: CiIssuer;
  bundleFile: string;
  database: string;
}): object {
  return {
    listen: { port: 0 },
    database: options.database,
    policy_bundle: options.bundleFile,
    log_level: 'warn',
    calls_per_minute: 0,
    attempts_per_minute: 0,
    // As the generator of load writes it.
    hosts: ['bench'],
    issuers: [
      {
        key: 'demo',
        issuer: options.people.issuer,
        allow_insecure_loopback: true,
        audience: 'countersign-cli',
        algorithms: ['ES256'],
        claims: { person: 'employee_id' },
        levels: { acr: { 'urn:countersign:password': 1, 'urn:countersign:mfa': 2 } },
      },
    ],
    workload_issuers: [{ issuer: options.ci.issuer, allow_insecure_loopback: true }],
  };
}
