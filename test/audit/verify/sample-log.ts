import { generateKeyPairSync } from 'node:crypto';
import type { Entry } from '../../../src/log/entry.ts';
import { buildLeaf } from '../../../src/log/record.ts';
import { operatorPrincipal } from '../../../src/principal.ts';
import { signCheckpoint } from '../../../src/tree/checkpoint.ts';
import { noteSigner } from '../../../src/tree/note.ts';
import { formatBundle, tilePath, tilesOf } from '../../../src/tree/tiles.ts';
import { personOf } from '../../support/local-control.ts';
import { tileHashes, treeHash } from '../../support/tree-oracle.ts';

/* A log in memory, written with the code that writes leaves, and then read and forged as a stranger would. */

export const ORIGIN = 'flags.example/log/1';
export const signer = noteSigner(ORIGIN, generateKeyPairSync('ed25519').privateKey);

// biome-ignore lint/suspicious/noExplicitAny: forgers change members of every shape
export type Record = any;

const hashOf = (letter: string) => `sha256:${letter.repeat(64)}`;
export const FIRST = hashOf('a');
export const SECOND = hashOf('b');
export const DIGEST = hashOf('d');
const SALT = 'A'.repeat(43);
const MOMENT_MS = Date.UTC(2026, 10, 18, 9, 30);

/** An entry with what differs from a plain read of dana's. */
export interface Said extends Partial<Omit<Entry, 'request' | 'decision'>> {
  who?: string;
  effect?: string;
  code?: string;
  policy?: string;
  stage?: string;
  guardrails?: number | null;
  request?: { id: string; kind?: string; digest?: string; from: string | null; to: string };
}

/** Writes leaves one after the other, each a second later. */
export function createWriter(): { write(said: Said): string; leaves: string[] } {
  const leaves: string[] = [];
  return {
    leaves,
    write: (said) => {
      const id = `0197f3a0-7c1e-7000-8000-${String(leaves.length).padStart(12, '0')}`;
      const { who = 'dana', effect = 'allow', code = 'role', policy = FIRST, stage, guardrails = 2 } = said;
      const { request, ...rest } = said;
      const entry: Entry = {
        id,
        at_ms: MOMENT_MS + leaves.length * 1000,
        operation: 'decision.read',
        principal: guardrails === null ? operatorPrincipal : personOf(who, []),
        environment: null,
        knows_environment: true,
        flags: [],
        correlation: { http_request_id: null, ticket: null, ci_run: null, token: null },
        ...rest,
        decision: {
          effect,
          reasons: [{ code, detail: 'Because.' }],
          obligations: [],
          limits: {},
          versions: { input: guardrails === null ? null : 1, result: 1, guardrails },
          policy_hash: policy,
          ...(stage === undefined ? {} : { stage }),
          input_json: '{}',
          input_digest: hashOf('c'),
        },
        request:
          request === undefined
            ? null
            : {
                kind: 'flag.change',
                object: null,
                digest: DIGEST,
                reason: 'why',
                authors: ['dana'],
                ...request,
              },
      };
      const names = {
        principal: `of ${who}`,
        act: [],
        person: guardrails === null ? null : who,
        authors: (entry.request?.authors as string[]) ?? [],
      };
      leaves.push(buildLeaf(entry, names, { salt: SALT, details: '{}', result: '{}' }));
      return id;
    },
  };
}

/** A move of a flag: its definition, or its state in an environment. */
export function moved(flag: string, environment: string | null, before: number) {
  return {
    flag,
    environment,
    ...(environment === null ? { namespace: 'payments' } : {}),
    version_before: before,
    version_after: before + 1,
    digest: DIGEST,
  };
}

const FREEZE = { scope: 'environment', environment: 'production', namespace: null, flag: null } as const;

/** The places of the records that the tests forge. */
export const PLACES = {
  start: 1,
  create: 2,
  approve: 4,
  apply: 5,
  engage: 6,
  break_glass: 7,
  approve_lift: 9,
  lift: 10,
  approve_policy: 12,
  activate: 13,
  staged: 14,
  after: 15,
  erase: 19,
  publish: 20,
  publish_again: 21,
} as const;

/** A log in which everything happens that a verification follows. */
export function sampleLeaves(): string[] {
  const { write, leaves } = createWriter();
  const operator = { who: 'operator', guardrails: null };
  write({
    ...operator,
    operation: 'policy.activate',
    code: 'first_start',
    activates: { hash: FIRST, archive: DIGEST, stages: [] },
  });
  write({
    operation: 'request.propose',
    environment: 'production',
    request: { id: 'create', from: null, to: 'applied' },
    flags: [moved('checkout', null, 0), moved('checkout', 'production', 0)],
  });
  write({
    operation: 'request.propose',
    environment: 'production',
    effect: 'hold',
    request: { id: 'enable', from: null, to: 'pending' },
  });
  const vote = write({
    who: 'alex',
    operation: 'request.approve',
    environment: 'production',
    request: { id: 'enable', from: 'pending', to: 'pending' },
  });
  write({
    operation: 'request.apply',
    environment: 'production',
    request: { id: 'enable', from: 'pending', to: 'applied' },
    votes: [vote],
    flags: [moved('checkout', 'production', 1)],
  });
  write({
    who: 'olga',
    operation: 'freeze.engage',
    environment: 'production',
    freeze: { change: 'engaged', id: 'freeze', ...FREEZE },
  });
  write({
    who: 'olga',
    operation: 'breakglass.apply',
    environment: 'production',
    request: { id: 'off', from: null, to: 'applied' },
    flags: [moved('checkout', 'production', 2)],
    passed: { freezes: ['freeze'], exception: false },
  });
  const lift = { id: 'lift', kind: 'freeze.lift' };
  write({
    who: 'olga',
    operation: 'request.propose',
    effect: 'hold',
    request: { ...lift, from: null, to: 'pending' },
  });
  const second = write({
    who: 'alex',
    operation: 'request.approve',
    request: { ...lift, from: 'pending', to: 'pending' },
  });
  write({
    operation: 'request.apply',
    request: { ...lift, from: 'pending', to: 'applied' },
    votes: [second],
    freeze: { change: 'lifted', id: 'freeze', ...FREEZE },
  });
  const policy = { id: 'policy', kind: 'policy.activate' };
  write({ operation: 'request.propose', effect: 'hold', request: { ...policy, from: null, to: 'pending' } });
  const third = write({
    who: 'morgan',
    operation: 'request.approve',
    request: { ...policy, from: 'pending', to: 'pending' },
  });
  write({
    operation: 'request.apply',
    request: { ...policy, from: 'pending', to: 'applied' },
    votes: [third],
    activates: {
      hash: SECOND,
      archive: DIGEST,
      stages: [
        { name: 'early', environments: ['development'] },
        { name: 'main', environments: ['production'] },
      ],
      followers: [{ hash: FIRST, archive: DIGEST, stage: 'early' }],
    },
  });
  write({
    operation: 'request.propose',
    environment: 'development',
    stage: 'early',
    request: { id: 'staged', from: null, to: 'applied' },
    flags: [moved('checkout', 'development', 0)],
  });
  write({
    operation: 'request.propose',
    environment: 'production',
    policy: SECOND,
    stage: 'main',
    request: { id: 'after', from: null, to: 'applied' },
    flags: [moved('checkout', 'production', 3)],
  });
  const last = { policy: SECOND, stage: 'main', guardrails: 3 };
  const erasure = { id: 'erase', kind: 'person.erase' };
  write({
    ...last,
    operation: 'request.propose',
    effect: 'hold',
    request: { ...erasure, from: null, to: 'pending' },
  });
  const votes = ['avery', 'sam'].map((who) =>
    write({
      ...last,
      who,
      operation: 'request.approve',
      request: { ...erasure, from: 'pending', to: 'pending' },
    }),
  );
  write({
    ...last,
    operation: 'request.apply',
    request: { ...erasure, from: 'pending', to: 'applied' },
    votes,
    erases: { places: [PLACES.create], pseudonyms: ['of olga'] },
  });
  for (const [version, size] of [
    [4, PLACES.after],
    [5, PLACES.erase],
  ] as const)
    write({
      policy: SECOND,
      guardrails: null,
      operation: 'snapshot.publish',
      code: 'snapshot_published',
      snapshot: { digest: DIGEST, environment: 'production', size, version },
    });
  return leaves;
}

/** The files of a log with these leaves, with a signed checkpoint. */
export function publishLeaves(leaves: readonly string[]): Map<string, Buffer> {
  const bytes = leaves.map((leaf) => Buffer.from(leaf));
  const files = new Map(
    [...tilesOf(bytes.length)].map((tile) => {
      const first = tile.index * 256;
      const content =
        tile.level === null
          ? formatBundle(bytes.slice(first, first + tile.width))
          : Buffer.concat(tileHashes(tile.level, tile.index, bytes));
      return [tilePath(tile), content] as const;
    }),
  );
  const note = signCheckpoint({ size: bytes.length, root: treeHash(bytes) }, signer);
  return files.set('checkpoint', Buffer.from(note));
}
