import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './activation.ts';
import { type Reply, startTestBroker, type TestBroker } from './broker.ts';
import { packMembers, unpackMembers } from './bundles.ts';
import { approve, createFlag, propose } from './flags.ts';

/** The map of stages of these tests. */
export const STAGES = [
  { name: 'staging', environments: ['development', 'staging'] },
  { name: 'production', environments: ['production'] },
];

/** What the shipped module says when nobody else has to approve. */
export const SHIPPED_WORDS = 'No second person is required.';

/** A real broker whose first bundle has a map of stages. */
export function startStaged(stages: unknown = STAGES): Promise<TestBroker> {
  return startTestBroker({
    editData: (data) => {
      const { config } = data as { config: Config & { stages?: unknown } };
      config.stages = stages;
      return data;
    },
  });
}

/** A text of the module, as long as {@link SHIPPED_WORDS}. */
export function words(text: string): string {
  return text.padEnd(SHIPPED_WORDS.length, '.').slice(0, SHIPPED_WORDS.length);
}

/** The same bundle with another module: it decides the same, and says it in other words. */
export async function withWords(archive: Buffer, text: string): Promise<Buffer> {
  const members = await unpackMembers(archive);
  return packMembers(
    members.map((member) => {
      if (!member.header.name.endsWith('policy.wasm')) return member;
      const at = member.bytes.indexOf(SHIPPED_WORDS);
      if (at < 0) throw new Error('the module does not say this');
      const bytes = Buffer.from(member.bytes);
      bytes.write(words(text), at, 'latin1');
      return { ...member, bytes };
    }),
  );
}

/** The bundle that the broker was started with. */
export function firstBundle(t: TestBroker): Promise<Buffer> {
  return readFile(join(t.folder, 'bundle.tar.gz'));
}

/** Uploads a bundle as morgan. @returns its policy hash */
export async function upload(t: TestBroker, archive: Buffer): Promise<string> {
  const response = await fetch(`${t.url}/v1/policy/bundles`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await t.people.idToken('morgan')}`,
      'content-type': 'application/gzip',
    },
    body: new Uint8Array(archive),
  });
  const body = (await response.json()) as { policy_hash: string };
  if (response.status !== 201) throw new Error(JSON.stringify(body));
  return body.policy_hash;
}

/** Proposes an activation as morgan. */
export function proposeActivation(t: TestBroker, fields: object) {
  return t.call('morgan', 'POST', '/v1/requests', { kind: 'policy.activate', reason: 'a test', ...fields });
}

/** Proposes an activation, and gives the approvals that the shipped policy asks for. @returns the last answer */
export async function activated(t: TestBroker, fields: object) {
  const { status, body } = await proposeActivation(t, fields);
  if (status !== 201) throw new Error(JSON.stringify(body));
  await approve(t, 'jordan', body);
  const last = (await approve(t, 'sam', body)).body;
  if (last.state !== 'applied') throw new Error(JSON.stringify(last));
  return last;
}

/** The newest activations, with what each was for. */
export async function activations(t: TestBroker, query = '') {
  return (await t.call('morgan', 'GET', `/v1/policy/activations${query}`)).body.items;
}

/** A flag that everybody may change alone, in every environment. */
export function freeFlag(t: TestBroker, key: string): Promise<string> {
  return createFlag(t, key, { tier: 'informational' });
}

/** Enables and disables a flag in turn. */
export async function change(t: TestBroker, flag: string, environment: string, action = 'enable') {
  return (await propose(t, [{ action, flag }], { environment })).body;
}

/** The active data of a stage, or of the last one. */
export async function data(t: TestBroker, stage?: string): Promise<Reply['body']> {
  const query = stage === undefined ? '' : `?stage=${stage}`;
  return (await t.call('morgan', 'GET', `/v1/policy/data${query}`)).body.data.config;
}
