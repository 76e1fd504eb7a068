import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { DataCaller } from '../../src/identity/data-callers.ts';
import type { Revocation } from '../../src/identity/revocations.ts';
import type { DataCredentials } from '../../src/identity/shown-token.ts';
import { createProofKey } from '../support/dpop.ts';
import { type Bench, BROKER, createBench, presentedForFlags, START_MS, START_S } from './support.ts';

/* What a connection has shown is believed again on that connection, and only as long as anybody else would believe it. */

const REVOCATION: Revocation = {
  id: 'r1',
  kind: 'class',
  value: 'workload',
  issued_before_ms: null,
  created_ms: START_MS,
  expires_ms: null,
  cause: 'incident',
  person: null,
  returned_ms: null,
};

let bench: Bench;
let revoked: Revocation | null | Promise<Revocation | null>;

beforeEach(async () => {
  revoked = null;
  bench = await createBench([], () => revoked);
});

function sign(changes: Record<string, unknown> = {}): Promise<string> {
  return bench.signingKeys.sign({
    iss: BROKER,
    aud: 'data:production',
    sub: 'workload:checkout-service:repo:acme/checkout',
    client_id: 'checkout-service',
    iat: START_S,
    exp: START_S + 600,
    jti: randomUUID(),
    scope: '',
    policy_hash: 'sha256:00',
    trust_rule: 'checkout-service',
    subject_issuer: 'https://ci.example',
    claims: {},
    person: null,
    namespaces: ['payments'],
    ...changes,
  });
}

type Shown = Parameters<typeof presentedForFlags>[0];

/** The caller of a request on a connection, or the reason why it was refused. */
async function ask(connection: object | null, shown: Shown): Promise<DataCaller | string> {
  const credentials: DataCredentials = {
    ...presentedForFlags(shown),
    ...(connection === null ? {} : { connection }),
  };
  const logged = bench.lines.length;
  try {
    return await bench.authenticator.readers.authenticate(credentials);
  } catch (error) {
    const { code } = error as { code: string };
    return bench.lines.length > logged ? `${code}: ${bench.lastReason()}` : code;
  }
}

/** What a caller is, without what it can do. */
const seen = (caller: DataCaller | string): unknown => JSON.parse(JSON.stringify(caller));

const bearer = (token: string): Shown => ({ authorization: `Bearer ${token}` });

/** A connection on which this was accepted twice: the second time from its memory. */
async function warm(shown: Shown): Promise<object> {
  const connection = {};
  expect(await ask(connection, shown)).toMatchObject({ environment: 'production' });
  const first = await ask(connection, shown);
  expect(await ask(connection, shown)).toBe(first);
  return connection;
}

describe('a caller whom a connection has shown', () => {
  it('is the same again without a look at the token, by either header', async () => {
    const token = await sign();
    for (const shown of [bearer(token), { apiKey: token }]) await warm(shown);
  });

  it('is refused from the first request after a revocation on, and accepted after it is lifted', async () => {
    const shown = bearer(await sign());
    const connection = await warm(shown);
    revoked = REVOCATION;
    expect(await ask(connection, shown)).toBe('token_invalid: revoked');
    expect(await ask(connection, shown)).toBe('token_invalid: revoked');
    revoked = null;
    expect(await ask(connection, shown)).toMatchObject({ environment: 'production' });
  });

  it('waits for a list of revocations that is being read, and is refused if it is on it', async () => {
    const shown = bearer(await sign());
    const connection = await warm(shown);
    const reading = Promise.withResolvers<Revocation | null>();
    revoked = reading.promise;
    const [one, other] = [ask(connection, shown), ask(connection, shown)];
    reading.resolve(REVOCATION);
    expect(await Promise.all([one, other])).toEqual(['token_invalid: revoked', 'token_invalid: revoked']);
    revoked = Promise.resolve(null);
    expect(await ask(connection, shown)).toMatchObject({ environment: 'production' });
  });

  it('is verified again when the token is over, and refused in the millisecond in which others are', async () => {
    const shown = bearer(await sign({ exp: START_S + 100 }));
    const connection = await warm(shown);
    const known = await ask(connection, shown);
    bench.advance(99_999);
    expect(await ask(connection, shown)).toBe(known);
    bench.advance(1);
    const anew = await ask(connection, shown);
    expect(anew).not.toBe(known);
    expect(seen(anew)).toEqual(seen(known));
    bench.advance(29_999);
    expect(seen(await ask(connection, shown))).toEqual(seen(known));
    bench.advance(1);
    expect(await ask(connection, shown)).toBe('token_invalid: expired');
  });

  it('is verified again when the clock was set back, and after five minutes', async () => {
    const shown = bearer(await sign());
    const connection = await warm(shown);
    const known = await ask(connection, shown);
    bench.advance(-1);
    expect(await ask(connection, shown)).not.toBe(known);
    bench.advance(300_001);
    const later = await ask(connection, shown);
    expect(later).not.toBe(known);
    expect(seen(later)).toEqual(seen(known));
  });

  it('is refused when the key of the token is gone', async () => {
    const shown = bearer(await sign());
    const connection = await warm(shown);
    const [row] = bench.keyStore.rows;
    bench.keyStore.replace(await bench.signingKeys.prepare(), START_MS);
    Object.assign(row ?? {}, { retires_ms: START_MS });
    bench.signingKeys.refresh();
    await bench.signingKeys.jwks();
    expect(await ask(connection, shown)).toBe('token_invalid: key_not_found');
  });

  it('is nobody else: neither for another token nor on another connection', async () => {
    const [payments, search] = [await sign(), await sign({ namespaces: ['search'] })];
    const connection = await warm(bearer(payments));
    expect(await ask(connection, bearer(search))).toMatchObject({ namespaces: ['search'] });
    expect(await ask(connection, bearer(payments))).toMatchObject({ namespaces: ['payments'] });
    const forged = `${payments.slice(0, -2)}${payments.endsWith('AA') ? 'BB' : 'AA'}`;
    for (const headers of [bearer(forged), bearer(''), {}, { authorization: payments }])
      expect(await ask(connection, headers)).toMatch(/^(token_invalid|unauthenticated)/);
    expect(await ask({}, {})).toBe('unauthenticated');
  });

  it('is read by the header as it is, whatever its white space and case', async () => {
    const token = await sign();
    const connection = await warm(bearer(token));
    const caller = await ask(connection, bearer(token));
    for (const authorization of [`bearer ${token}`, `BEARER   ${token}`, `Bearer  ${token}`]) {
      expect(seen(await ask(connection, { authorization }))).toEqual(seen(caller));
      expect(seen(await ask(connection, { authorization }))).toEqual(seen(caller));
    }
    for (const authorization of [`Bearer ${token} `, `Bearer ${token}, Bearer ${token}`, `Bearer\t${token}`])
      expect(await ask(connection, { authorization })).toBe('token_invalid: scheme_not_accepted');
    expect(await ask(connection, { authorization: `DPoP ${token}` })).toBe('token_invalid: proof_unexpected');
    expect(seen(await ask(connection, bearer(token)))).toEqual(seen(caller));
  });

  it('is refused with a second token beside the first, or with a proof that the token does not need', async () => {
    const token = await sign();
    for (const shown of [bearer(token), { apiKey: token }]) {
      const connection = await warm(shown);
      expect(await ask(connection, { ...bearer(token), apiKey: token })).toBe(
        'token_invalid: two_credentials',
      );
      expect(await ask(connection, { ...shown, dpop: 'x.y.z' })).toBe('token_invalid: proof_unexpected');
      expect(await ask(connection, { ...shown, dpop: '' })).toBe('token_invalid: proof_unexpected');
      expect(await ask(connection, shown)).toMatchObject({ environment: 'production' });
    }
  });

  it('for the control plane reads no flags the second time either', async () => {
    const shown = bearer(await sign({ aud: 'control', scope: 'flag.read', namespaces: undefined }));
    const connection = {};
    for (let time = 0; time < 3; time += 1)
      expect(await ask(connection, shown)).toBe('token_invalid: audience_not_accepted');
  });
});

describe('a token that is bound to a key', () => {
  it('takes a proof each time, and each proof once, however warm the connection', async () => {
    const key = await createProofKey(bench.clock);
    const token = await sign({ cnf: { jkt: key.jkt } });
    const prove = () => key.proof({ method: 'POST', url: `${BROKER}/ofrep/v1/evaluate/flags`, token });
    const connection = {};
    const authorization = `DPoP ${token}`;
    for (let time = 0; time < 3; time += 1) {
      const dpop = await prove();
      expect(await ask(connection, { authorization, dpop })).toMatchObject({ environment: 'production' });
      expect(await ask(connection, { authorization, dpop })).toBe('token_invalid: proof_not_accepted');
      expect(await ask(connection, { authorization })).toBe('token_invalid: proof_not_accepted');
      expect(await ask(connection, bearer(token))).toBe('token_invalid: downgraded');
      expect(await ask(connection, { apiKey: token })).toBe('token_invalid: downgraded');
    }
  });
});

describe('connections with a memory', () => {
  it('answer whatever those without one do, in any order of events', async () => {
    const tokens = await Promise.all([
      sign(),
      sign({ namespaces: ['search'], exp: START_S + 40 }),
      sign({ aud: 'data:staging' }),
      sign({ cnf: { jkt: 'x'.repeat(43) } }),
      sign({ aud: 'audit', scope: 'decision.read', namespaces: undefined }),
    ]);
    const headers: Shown[] = tokens.flatMap((token) => [
      bearer(token),
      { authorization: `bearer  ${token}` },
      { authorization: `DPoP ${token}` },
      { apiKey: token },
      { ...bearer(token), apiKey: token },
      { ...bearer(token), dpop: 'x.y.z' },
    ]);
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ on: fc.nat(2), show: fc.constantFrom(...headers, {}) }) },
      fc.record({ advance: fc.integer({ min: -20_000, max: 100_000 }) }),
      fc.record({ revoke: fc.boolean(), reads: fc.boolean() }),
      fc.constant({ forget: true }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const connections = [{}, {}, {}];
        revoked = null;
        for (const each of steps) {
          if ('advance' in each) bench.advance(each.advance);
          else if ('revoke' in each) {
            const hit = each.revoke ? REVOCATION : null;
            revoked = each.reads ? Promise.resolve(hit) : hit;
          } else if ('forget' in each) bench.authenticator.invalidate();
          else {
            const found = await ask(connections[each.on] ?? null, each.show);
            expect(seen(found)).toEqual(seen(await ask(null, each.show)));
          }
        }
        bench.advance(START_MS - bench.clock());
      }),
      { numRuns: 60 },
    );
  });
});
