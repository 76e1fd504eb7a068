import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-config-'));
  await writeFile(join(folder, 'secret'), 'of the client');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const WEB = { client_id: 'countersign-web', client_secret_file: 'secret' };

async function load(
  { issuer = {}, ...config }: { issuer?: Record<string, unknown>; [key: string]: unknown },
  web: Record<string, unknown> = WEB,
) {
  const file = join(folder, 'countersign.yaml');
  const corp = {
    key: 'corp',
    issuer: 'https://login.example',
    audience: ['cli', 'countersign-web'],
    web,
    ...issuer,
  };
  await writeFile(file, JSON.stringify({ public_url: 'https://flags.example', issuers: [corp], ...config }));
  return loadConfig({ file, env: {} });
}

describe('the configuration of browser sign-in', () => {
  it('finds the secret beside the file, and has limits for sessions', async () => {
    const config = await load({});
    expect(config.issuers[0]?.web).toEqual({
      client_id: 'countersign-web',
      client_secret_file: join(folder, 'secret'),
      scope: 'openid',
      allow_untyped_logout_token: false,
    });
    expect(config.sessions).toEqual({ idle_minutes: 30, absolute_hours: 12 });
  });

  it('does without a secret, and without https on this machine', async () => {
    expect((await load({}, { client_id: 'cli' })).issuers[0]?.web?.client_secret_file).toBeUndefined();
    expect((await load({ public_url: 'http://127.0.0.1:8480' })).issuers.length).toBe(1);
    expect((await load({ public_url: undefined, listen: { host: '::1' } })).issuers.length).toBe(1);
  });

  it.each<[string, Parameters<typeof load>[0], Record<string, unknown> | undefined, string]>([
    [
      'a public URL in plain http',
      { public_url: 'http://flags.example' },
      WEB,
      'public_url: must be an https URL',
    ],
    [
      'no public URL',
      { public_url: undefined, listen: { host: '0.0.0.0' } },
      WEB,
      'public_url: must be an https URL',
    ],
    ['a client of another audience', {}, { client_id: 'other' }, "must be one of the issuer's audience"],
    [
      'a client that is no authorized party',
      { issuer: { authorized_parties: ['cli'] } },
      WEB,
      "must be one of the issuer's authorized_parties",
    ],
    [
      'an issuer of access tokens only',
      { issuer: { token_types: ['access_token'] } },
      WEB,
      'requires id_token',
    ],
    ['a scope without openid', {}, { ...WEB, scope: 'profile openid2' }, 'must contain openid'],
    ['a secret that is not there', {}, { ...WEB, client_secret_file: 'nowhere' }, 'is not a readable file'],
    ['a secret in the file itself', {}, { ...WEB, client_secret: 'x' }, 'client_secret'],
    ['a session without end', { sessions: { absolute_hours: 0 } }, WEB, 'sessions.absolute_hours'],
    ['a session that is over at once', { sessions: { idle_minutes: 0 } }, WEB, 'sessions.idle_minutes'],
  ])('refuses %s, and says where', async (_name, config, web, says) => {
    await expect(load(config, web)).rejects.toThrow(says);
  });
});
