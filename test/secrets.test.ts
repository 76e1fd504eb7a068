import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker } from '../src/broker.ts';
import { loadConfig } from '../src/config.ts';
import { createLog } from '../src/logger.ts';
import { listSigningKeys } from '../src/store/signing-keys.ts';
import { exchange, startTestBroker, type TestBroker } from './support/broker.ts';
import { createFlag, propose } from './support/flags.ts';

/*
 * Nothing secret is kept or logged (design invariant 12): after a story with every kind of token, good and bad, neither
 * the files of the broker nor its most talkative log hold any of them, or their signatures.
 */

let t: TestBroker;
let log = '';
const tokens: string[] = [];

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'checkout');
  await t.broker.close();
  const sink = new Writable({
    write(chunk, _encoding, done) {
      log += String(chunk);
      done();
    },
  });
  t.broker = await startBroker({
    config: loadConfig({ file: join(t.folder, 'countersign.yaml'), env: {} }),
    clock: t.clock,
    log: createLog('trace', sink),
  });
  t.url = t.broker.url;
  await tell();
});

afterAll(() => t.close());

/** Where a token can be pasted into a path, of a route or of none. */
const PASTED = [
  '/v1/requests/',
  '/v1/flags/',
  '/v1/revocations/',
  '/scim/v2/Users/',
  '/scim/v2/x/',
  '/nowhere/',
  '/',
];

async function tell(): Promise<void> {
  const person = await t.people.idToken('dana', { claims: { nonce: 'nonce-of-the-story' } });
  const strong = await t.people.idToken('alex', { mfa: true });
  const forged = `${person.slice(0, -10)}AAAAAAAAAA`;
  const subject = await t.ci.token();
  const foreign = await t.ci.token({ repository_id: '1' });
  const issued = (await exchange(t.url, subject)).body.access_token;
  const delegated = await t.call(person, 'POST', '/v1/delegations', { agent: 'release-agent' });
  const delegation = delegated.body.delegation_token;
  const actor = await t.ci.token({ repository: 'acme/release-agent', repository_id: '456791' });
  const form = { actor_token: actor, actor_token_type: 'urn:ietf:params:oauth:token-type:jwt' };
  const agent = (await exchange(t.url, delegation, form)).body.access_token;
  tokens.push(person, strong, forged, subject, foreign, issued, delegation, actor, agent);
  await exchange(t.url, subject);
  await exchange(t.url, foreign);
  for (const token of tokens) {
    await t.call(token, 'GET', '/v1/flags?environment=production');
    await propose(t, [{ action: 'enable', flag: 'checkout' }], {}, token);
    await t.call(null, 'GET', `/v1/requests?cursor=${token}`, undefined, {
      cookie: `session=${token}`,
      'x-api-key': token,
    });
    await t.call(token, 'POST', '/v1/requests', `{"reason": "${token}`, {});
    await t.call('morgan', 'POST', '/v1/trust/test', { token });
    await t.call(
      null,
      'POST',
      `/ofrep/v1/evaluate/flags/checkout`,
      { context: {} },
      { authorization: `Bearer ${token}` },
    );
    await t.call(null, 'GET', '/v1/flags/checkout', undefined, { authorization: `Basic ${token}` });
    for (const path of PASTED) {
      const { headers } = await t.call('dana', 'GET', `${path}${token}`);
      expect(log).toContain(headers.get('x-request-id') ?? 'an answer without an id');
    }
    await t.call(token, 'POST', `/ofrep/v1/evaluate/flags/${token}`, { context: {} });
  }
}

/** The parts of a token that are secret: the whole, and its signature. */
function secretsOf(token: string): string[] {
  return [token, token.split('.')[2] ?? token];
}

describe('after a story with every kind of token', () => {
  it('the log has every call', () => {
    expect(log.split('\n').length).toBeGreaterThan(tokens.length * 4);
    expect(tokens.every((token) => token.split('.').length === 3)).toBe(true);
  });

  it('no token is in the log, whatever its level', () => {
    for (const secret of tokens.flatMap(secretsOf)) expect(log.includes(secret)).toBe(false);
    expect(log).not.toMatch(/eyJ[\w-]{20,}/);
  });

  it('no key is in the log, neither the master key nor what is sealed under it', async () => {
    const master = (await readFile(join(t.folder, 'countersign.db.master-key'), 'utf8')).trim();
    expect(master).toHaveLength(43);
    const bytes = Buffer.from(master, 'base64url');
    for (const form of [master, bytes.toString('base64'), bytes.toString('hex')]) {
      expect(log.includes(form)).toBe(false);
    }
    for (const { private_jwk } of await listSigningKeys(t.broker.store.read)) {
      expect(log.includes(private_jwk.slice(0, 100))).toBe(false);
    }
  });

  it('no token is in any file of the broker', async () => {
    const names = await readdir(t.folder);
    expect(names).toContain('countersign.db');
    for (const name of names) {
      const bytes = await readFile(join(t.folder, name));
      for (const secret of tokens.flatMap(secretsOf)) expect(bytes.includes(secret)).toBe(false);
    }
  });

  it('no answer of a refusal repeats the token', async () => {
    for (const token of [tokens[2] ?? '', tokens[4] ?? '']) {
      const { status, body } = await t.call(token, 'GET', '/v1/flags/checkout');
      expect(status).toBe(401);
      expect(JSON.stringify(body)).not.toContain(token.split('.')[2]);
    }
  });
});
