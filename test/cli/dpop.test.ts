import { hash, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, decodeJwt, EmbeddedJWK, type JWK, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCredentials, type KeptExchange } from '../../src/cli/auth/credentials.ts';
import type { Io } from '../../src/cli/io.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
  await createFlag(t, 'bound');
});
afterAll(() => t.close());

const flags = ['flags', '--environment', 'staging', '--json'] as const;

interface Sent {
  method: string;
  url: URL;
  authorization: string;
  proof: string;
}

/** Forwards to the broker, and keeps what was sent. */
function watched(sent: Sent[], forward: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { method, headers } = request;
    sent.push({
      method,
      url: new URL(request.url),
      authorization: headers.get('authorization') ?? '',
      proof: headers.get('dpop') ?? '',
    });
    return forward(request);
  };
}

/** The terminal of a job, which has a token file as Kubernetes projects it. */
async function job(io: Partial<Io> = {}): Promise<Terminal & { file: string }> {
  const file = join(t.folder, `token-${randomUUID()}`);
  await writeFile(file, await t.ci.token());
  const terminal = createTerminal(t, { ...io, env: { COUNTERSIGN_SUBJECT_TOKEN_FILE: file } });
  return { ...terminal, file };
}

async function keptBy({ home }: Terminal): Promise<KeptExchange[]> {
  return Object.values((await createCredentials({ env: {}, home }).load(t.url)).exchanges ?? {});
}

/** Verifies a proof by its own key alone, as a server does. */
async function verifyProof(proof: string): Promise<{ claims: Record<string, unknown>; jwk: JWK }> {
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: 'dpop+jwt',
    algorithms: ['ES256'],
    currentDate: new Date(t.clock()),
    maxTokenAge: 5,
  });
  if (protectedHeader.jwk === undefined) throw new Error('the proof has no key');
  return { claims: payload, jwk: protectedHeader.jwk };
}

describe('a token that is exchanged', () => {
  it('is bound to a key, and each call carries its own proof of the key', async () => {
    const sent: Sent[] = [];
    const terminal = await job({ fetch: watched(sent) });
    const words = ['propose', '--environment', 'production', '--reason', 'x', '--enable', 'bound', '--json'];
    const proposed = await terminal.run(...words);
    expect(proposed.code).toBe(3);
    expect((await terminal.run('show', proposed.json.id, '--json')).code).toBe(0);
    expect((await terminal.run('list', '--state', 'open', '--json')).code).toBe(0);

    const [kept] = await keptBy(terminal);
    const { cnf } = decodeJwt<{ cnf?: { jkt?: string } }>(kept?.access_token ?? '');
    const proven = sent.filter(({ proof }) => proof !== '');
    expect(proven.map(({ url }) => url.pathname)).toEqual([
      '/oauth/token',
      '/v1/requests',
      `/v1/requests/${proposed.json.id}`,
      '/v1/requests',
    ]);
    const seen = new Set<unknown>();
    for (const { method, url, authorization, proof } of proven) {
      const { claims, jwk } = await verifyProof(proof);
      expect(jwk).not.toHaveProperty('d');
      expect(await calculateJwkThumbprint(jwk)).toBe(cnf?.jkt);
      expect(claims).toMatchObject({ htm: method, htu: `${t.url}${url.pathname}` });
      seen.add(claims.jti);
      if (url.pathname === '/oauth/token') {
        expect(claims).not.toHaveProperty('ath');
        continue;
      }
      expect(authorization).toBe(`DPoP ${kept?.access_token}`);
      expect(claims.ath).toBe(hash('sha256', kept?.access_token ?? '', 'base64url'));
    }
    expect(seen.size).toBe(proven.length);
  });

  it('cannot be used with the token alone, or with another key', async () => {
    const terminal = await job();
    expect((await terminal.run(...flags)).code).toBe(0);
    const [kept] = await keptBy(terminal);
    const thief = createTerminal(t, { env: { COUNTERSIGN_TOKEN: kept?.access_token ?? '' } });
    const bare = await thief.run(...flags);
    expect([bare.code, bare.json.code]).toEqual([7, 'token_invalid']);

    const other = await job();
    expect((await other.run(...flags)).code).toBe(0);
    const [elsewhere] = await keptBy(other);
    const stolen = { ...kept, bound: elsewhere?.bound ?? null } as KeptExchange;
    const credentials = createCredentials({ env: {}, home: other.home });
    await credentials.update(t.url, (all) => ({
      exchanges: Object.fromEntries(Object.keys(all.exchanges ?? {}).map((digest) => [digest, stolen])),
    }));
    const mixed = await other.run(...flags);
    expect([mixed.code, mixed.json.code]).toEqual([7, 'token_invalid']);
  });

  it('is kept with its key for the next command, until it expires; then both are gone', async () => {
    const sent: Sent[] = [];
    const terminal = await job({ fetch: watched(sent) });
    await terminal.run(...flags);
    await terminal.run(...flags);
    expect(sent.filter(({ url }) => url.pathname === '/oauth/token')).toHaveLength(1);
    const [former] = await keptBy(terminal);

    t.clock.advance(11 * 60_000);
    await writeFile(terminal.file, await t.ci.token());
    expect((await terminal.run(...flags)).code).toBe(0);
    const kept = await keptBy(terminal);
    expect(kept).toHaveLength(1);
    expect(kept[0]?.bound?.key.d).not.toBe(former?.bound?.key.d);
  });

  it('has a key of its own, also for two jobs that share a home', async () => {
    const one = await job();
    const two = await job({ home: one.home });
    await Promise.all([one.run(...flags), two.run(...flags)]);
    const kept = await keptBy(one);
    expect(new Set(kept.map(({ bound }) => bound?.key.d)).size).toBe(2);
    // The platform tokens are used up: what was kept is what serves now.
    const again = await Promise.all([one.run(...flags), two.run(...flags)]);
    expect(again.map(({ code }) => code)).toEqual([0, 0]);
  });

  it('is not what COUNTERSIGN_TOKEN is: that stays a bearer token', async () => {
    const sent: Sent[] = [];
    const terminal = createTerminal(t, { fetch: watched(sent) });
    expect((await terminal.as('dana', ...flags)).code).toBe(0);
    expect(sent.map(({ authorization, proof }) => [authorization.split(' ')[0], proof])).toEqual([
      ['Bearer', ''],
    ]);
  });

  it('is used as a bearer token at a broker that binds none', async () => {
    const sent: Sent[] = [];
    const plain: typeof fetch = async (input) => {
      const { pathname } = new URL((input as Request).url);
      if (pathname === '/oauth/token') {
        return Response.json({ access_token: 'plain', token_type: 'Bearer', expires_in: 60 });
      }
      return pathname.startsWith('/v1') ? Response.json({ items: [], next_cursor: null }) : fetch(input);
    };
    const terminal = await job({ fetch: watched(sent, plain) });
    expect((await terminal.run(...flags)).code).toBe(0);
    expect(sent.at(-1)).toMatchObject({ authorization: 'Bearer plain', proof: '' });
    expect(await keptBy(terminal)).toMatchObject([{ access_token: 'plain', bound: null }]);
  });
});

describe('a nonce', () => {
  /** A proxy that requires its own nonce in each proof, and a new one after two requests. */
  function wantsNonce(sent: Sent[], seen: unknown[]): typeof fetch {
    return watched(sent, async (input) => {
      const request = input as Request;
      const proof = request.headers.get('dpop');
      if (proof === null) return fetch(request);
      const { nonce } = decodeJwt(proof);
      const wanted = `nonce-${Math.floor(seen.length / 2)}`;
      if (nonce !== wanted) return refusal(new URL(request.url).pathname, wanted);
      seen.push(nonce);
      return fetch(request);
    });
  }

  function refusal(path: string, nonce: string): Response {
    const headers = { 'DPoP-Nonce': nonce };
    if (path === '/oauth/token') return Response.json({ error: 'use_dpop_nonce' }, { status: 400, headers });
    return new Response(null, {
      status: 401,
      headers: { ...headers, 'WWW-Authenticate': 'DPoP error="use_dpop_nonce", algs="ES256"' },
    });
  }

  it('that the server requires is put into the proof, and into the next ones', async () => {
    const sent: Sent[] = [];
    const seen: unknown[] = [];
    const terminal = await job({ fetch: wantsNonce(sent, seen) });
    for (let turn = 0; turn < 3; turn += 1) expect((await terminal.run(...flags)).code).toBe(0);
    expect(seen).toEqual(['nonce-0', 'nonce-0', 'nonce-1', 'nonce-1']);
    const proofs = sent.map(({ proof }) => proof).filter((proof) => proof !== '');
    expect(new Set(proofs).size).toBe(proofs.length);
  });

  it('that the server never accepts is not retried forever', async () => {
    for (const changing of [false, true]) {
      const sent: Sent[] = [];
      let turns = 0;
      const never: typeof fetch = async (input) => {
        const request = input as Request;
        if (!request.headers.has('dpop')) return fetch(request);
        turns += 1;
        return refusal(new URL(request.url).pathname, changing ? `nonce-${turns}` : 'same');
      };
      const terminal = await job({ fetch: watched(sent, never) });
      const run = await terminal.run(...flags);
      expect([run.code, run.json.code]).toEqual([7, 'token_exchange_refused']);
      expect(turns).toBe(2);
    }
  });
});

describe('the address that proofs name', () => {
  it("is the broker's own, when that differs from how it was written", async () => {
    const terminal = await job();
    const written = `${t.url.replace('http://', 'HTTP://')}///`;
    const run = await terminal.run(...flags, '--broker', written);
    expect(run.code).toBe(0);
  });

  it.each([
    { what: 'another host', metadata: { issuer: 'https://elsewhere.example' } },
    { what: 'another token endpoint', metadata: { token_endpoint: 'https://elsewhere.example/oauth/token' } },
    { what: 'another port', metadata: { issuer: 'http://127.0.0.1:1' } },
  ])('is not signed for $what, and no token is sent', async ({ metadata }) => {
    const sent: Sent[] = [];
    const named: typeof fetch = async (input) => {
      const genuine = { issuer: t.url, token_endpoint: `${t.url}/oauth/token` };
      return new URL((input as Request).url).pathname.startsWith('/.well-known/')
        ? Response.json({ ...genuine, ...metadata })
        : fetch(input);
    };
    const terminal = await job({ fetch: watched(sent, named) });
    const run = await terminal.run(...flags);
    expect([run.code, run.json.code]).toEqual([2, 'broker_address_mismatch']);
    expect(run.json.detail).toContain('--broker');
    expect(sent).toHaveLength(1);
  });

  it('fails at a broker with another public URL, and says what to do', async () => {
    const own = await startTestBroker({ config: { public_url: 'https://countersign.example' } });
    try {
      const terminal = createTerminal(own, { env: { COUNTERSIGN_SUBJECT_TOKEN: await own.ci.token() } });
      const run = await terminal.run(...flags);
      expect([run.code, run.json.code]).toEqual([2, 'broker_address_mismatch']);
      expect(run.json.detail).toContain('https://countersign.example');
      // People have no key to prove, so they are not in the way of each other.
      expect((await terminal.as('dana', ...flags)).code).toBe(0);
    } finally {
      await own.close();
    }
  });

  it('is not requested from a server that is not a broker', async () => {
    const terminal = await job({ fetch: async () => new Response('<html>', { status: 200 }) });
    const run = await terminal.run(...flags);
    expect([run.code, run.json.code]).toEqual([1, 'answer_not_understood']);
  });
});

describe('an exchange that is refused', () => {
  it('for its proof asks about the clock, which a job can have wrong', async () => {
    const terminal = await job({ clock: () => t.clock() - 120_000 });
    const run = await terminal.run(...flags);
    expect([run.code, run.json.oauth_error]).toEqual([7, 'invalid_dpop_proof']);
    expect(run.json.detail).toContain('clock');
  });

  it('for the number of attempts is tried again after as long as the broker asks for', async () => {
    const slept: number[] = [];
    let turns = 0;
    const busy: typeof fetch = async (input) => {
      const { pathname } = new URL((input as Request).url);
      if (pathname !== '/oauth/token') return fetch(input);
      turns += 1;
      if (turns > 1) return fetch(input);
      const headers = { 'Retry-After': '7' };
      return Response.json({ error: 'temporarily_unavailable' }, { status: 429, headers });
    };
    const terminal = await job({
      fetch: watched([], busy),
      sleep: async (ms) => {
        slept.push(ms);
      },
    });
    const words = ['propose', '--environment', 'production', '--reason', 'x', '--enable', 'bound', '--json'];
    expect((await terminal.run(...words)).code).toBe(3);
    expect(slept).toEqual([7000]);
  });
});
