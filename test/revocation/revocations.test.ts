import { describe, expect, it } from 'vitest';
import type { Caller } from '../../src/identity/credential.ts';
import type { Revocation } from '../../src/identity/revocations.ts';
import type { Principal } from '../../src/principal.ts';
import { createRevocations } from '../../src/revocation/revocations.ts';
import { START_MS } from '../identity/support.ts';

const ISSUER = 'https://login.example';

const DANA: Principal = {
  id: 'person:corp:dana',
  kind: 'person',
  person: 'emp-1001',
  issuer: ISSUER,
  groups: [],
  claims: {},
  auth: { level: 1, acr: null, amr: [], auth_time_ms: null },
  token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
};
/** A job that was started by dana's account at the platform. */
const JOB: Principal = {
  ...DANA,
  id: 'workload:payments-deploy:repo',
  kind: 'workload',
  person: 'github:5001',
  issuer: 'https://ci.example',
  token: { ...DANA.token, trust_rule: 'payments-deploy' },
};
const AGENT: Principal = { ...JOB, id: 'agent:helper:a', kind: 'agent', person: 'emp-1001', act: [JOB.id] };

function callerOf(principal: Principal, credential: Partial<Caller['credential']> = {}): Caller {
  return {
    principal,
    credential: {
      issuer: ISSUER,
      token_id: 'jti:1',
      kid: 'key-1',
      issued_ms: START_MS,
      expires_ms: START_MS + 600_000,
      session: `${ISSUER}#sid-1`,
      proof: null,
      ...credential,
    },
  };
}

/** A store as other brokers write it: a list that changes under a new epoch. */
function createStore() {
  let epoch: string | null = null;
  let list: Revocation[] = [];
  let reads = 0;
  return {
    set: (name: string | null, ...revocations: Partial<Revocation>[]) => {
      epoch = name;
      list = revocations.map((revocation, place) => ({
        id: `r${place}`,
        kind: 'subject',
        value: '',
        issued_before_ms: null,
        expires_ms: null,
        cause: 'incident',
        person: null,
        returned_ms: null,
        created_ms: START_MS,
        ...revocation,
      }));
    },
    reads: () => reads,
    revocations: () =>
      createRevocations<null>({
        store: {
          epoch: async () => epoch,
          list: async () => {
            reads += 1;
            return list;
          },
        },
        latestNames: () => ({
          version: 'policy',
          resolve: (person) => (person === 'github:5001' ? 'emp-1001' : person.toLowerCase()),
        }),
      }),
  };
}

describe('a revocation', () => {
  it.each<[string, Partial<Revocation>, Principal]>([
    ['of a token', { kind: 'token', value: `${ISSUER}#jti:1` }, DANA],
    ['of the provider’s session', { kind: 'session', value: `${ISSUER}#sid-1` }, DANA],
    ['of an account', { kind: 'subject', value: 'person:corp:dana' }, DANA],
    ['of a human', { kind: 'subject', value: 'emp-1001' }, DANA],
    ['of a human, under the name that a job has of them', { kind: 'subject', value: 'emp-1001' }, JOB],
    ['of an agent’s sponsor', { kind: 'subject', value: 'emp-1001' }, AGENT],
    ['of the workload that an agent is', { kind: 'subject', value: JOB.id }, AGENT],
    ['of a trust rule', { kind: 'trust_rule', value: 'payments-deploy' }, JOB],
    ['of who vouched for the workload', { kind: 'issuer', value: 'https://ci.example' }, JOB],
    ['of who signed the token', { kind: 'issuer', value: ISSUER }, JOB],
    ['of all persons', { kind: 'class', value: 'person' }, DANA],
    ['of all workloads', { kind: 'class', value: 'workload' }, JOB],
    ['of everybody', { kind: 'class', value: 'all' }, AGENT],
    ['of the key that signed', { kind: 'key', value: 'key-1' }, JOB],
  ])('%s hits', async (_, revocation, principal) => {
    const store = createStore();
    store.set('e1', revocation);
    expect(await store.revocations().latest().hit(null, callerOf(principal))).toMatchObject(revocation);
  });

  it.each<[string, Partial<Revocation>, Principal]>([
    ['the same jti of another issuer', { kind: 'token', value: 'https://other.example#jti:1' }, DANA],
    ['another token', { kind: 'token', value: `${ISSUER}#jti:2` }, DANA],
    ['another session', { kind: 'session', value: `${ISSUER}#sid-2` }, DANA],
    ['somebody whose name only begins so', { kind: 'subject', value: 'emp-100' }, DANA],
    ['a subject that is named like the trust rule', { kind: 'subject', value: 'payments-deploy' }, JOB],
    ['a class that is another', { kind: 'class', value: 'workload' }, AGENT],
    ['another key', { kind: 'key', value: 'key-2' }, JOB],
  ])('of %s does not', async (_, revocation, principal) => {
    const store = createStore();
    store.set('e1', revocation);
    expect(await store.revocations().latest().hit(null, callerOf(principal))).toBeNull();
  });

  it('of what was issued before a moment leaves what was issued at it and after', async () => {
    const store = createStore();
    store.set('e1', { kind: 'class', value: 'all', issued_before_ms: START_MS });
    const revocations = store.revocations();
    expect(await revocations.latest().hit(null, callerOf(DANA, { issued_ms: START_MS - 1 }))).not.toBeNull();
    expect(await revocations.latest().hit(null, callerOf(DANA, { issued_ms: START_MS }))).toBeNull();
  });

  it('is not hidden by an earlier one of the same thing that covers less', async () => {
    const store = createStore();
    const value = 'emp-1001';
    store.set('e1', { value, issued_before_ms: START_MS - 5_000 }, { value, issued_before_ms: null });
    expect(await store.revocations().latest().hit(null, callerOf(DANA))).toMatchObject({
      issued_before_ms: null,
    });
  });

  it('counts from the next look on, at every broker, and is read once for each change', async () => {
    const store = createStore();
    const [one, other] = [store.revocations().latest(), store.revocations().latest()];
    store.set(null);
    expect(await one.hit(null, callerOf(DANA))).toBeNull();
    store.set('e1', { value: 'emp-1001' });
    expect(await one.hit(null, callerOf(DANA))).not.toBeNull();
    expect(await other.hit(null, callerOf(DANA))).not.toBeNull();
    const reads = store.reads();
    for (let look = 0; look < 100; look += 1) await one.hit(null, callerOf(JOB));
    expect(store.reads()).toBe(reads);
    store.set('e2');
    expect(await one.hit(null, callerOf(DANA))).toBeNull();
  });

  it('that was undone leaves nothing behind, though it was seen', async () => {
    const store = createStore();
    const revocations = store.revocations();
    store.set('undone', { value: 'emp-1001' });
    expect(await revocations.latest().hit(null, callerOf(DANA))).not.toBeNull();
    store.set('before');
    expect(await revocations.latest().hit(null, callerOf(DANA))).toBeNull();
  });

  it('is awaited by callers that ask while it is being read', async () => {
    const store = createStore();
    const revocations = store.revocations();
    expect(revocations.hitByLatest(callerOf(DANA))).toBeNull();
    store.set('e1', { value: 'emp-1001' });
    const reading = revocations.refresh(null);
    expect(await revocations.hitByLatest(callerOf(DANA))).not.toBeNull();
    await reading;
    expect(revocations.hitByLatest(callerOf(DANA))).toMatchObject({ value: 'emp-1001' });
  });
});

describe('who is blocked', () => {
  it.each<[string, Partial<Revocation>, boolean]>([
    ['by name until it is lifted', { value: 'emp-1001' }, true],
    ['by their trust rule', { kind: 'trust_rule', value: 'payments-deploy' }, true],
    ['not by a token of theirs', { kind: 'token', value: `${ISSUER}#jti:1` }, false],
    ['not by what ends with a new sign-in', { value: 'emp-1001', issued_before_ms: START_MS }, false],
    ['not by a class', { kind: 'class', value: 'all' }, false],
  ])('is blocked %s', async (_, revocation, blocked) => {
    const store = createStore();
    store.set('e1', revocation);
    expect(await store.revocations().latest().isBlocked(null, JOB)).toBe(blocked);
  });
});

describe('what waits', () => {
  const written = { proposer: DANA, authors: ['emp-1001'], parts: [] };
  const logout = { value: DANA.id, cause: 'logout', issued_before_ms: START_MS };

  it.each<[string, Partial<Revocation>, boolean]>([
    ['by a human among the authors', { value: 'emp-1001' }, true],
    ['by an account of such a human', { value: 'person:other:dana', person: 'emp-1001' }, true],
    ['by who vouches for the proposer', { kind: 'issuer', value: ISSUER }, true],
    ['by a logout that nobody came back from', logout, true],
    ['not by one that somebody came back from', { ...logout, returned_ms: START_MS }, false],
    ['not by a logout of one session', { kind: 'session', value: `${ISSUER}#sid-1`, cause: 'logout' }, false],
    ['not by what was issued before a moment', { value: 'emp-1001', issued_before_ms: START_MS }, false],
    ['not by somebody else', { value: 'emp-1002' }, false],
    ['not by a class', { kind: 'class', value: 'all', issued_before_ms: START_MS }, false],
  ])('waits %s', async (_, revocation, waits) => {
    const store = createStore();
    store.set('e1', revocation);
    const revocations = store.revocations();
    expect(await revocations.latest().isParked(null, written)).toBe(waits);
  });

  it('waits for the human behind a job, by the name that the job has of them', async () => {
    const store = createStore();
    store.set('e1', { value: 'person:corp:dana', person: 'emp-1001' });
    const byJob = { proposer: JOB, authors: ['github:5001'], parts: [] };
    expect(await store.revocations().latest().isParked(null, byJob)).toBe(true);
  });

  it.each<[string, Partial<Revocation>]>([
    ['its rule', { kind: 'trust_rule', value: 'payments-deploy' }],
    ['its issuer', { kind: 'issuer', value: JOB.issuer }],
    ['itself', { value: JOB.id }],
  ])('waits for a job that edited what its human wrote, by %s', async (_, revocation) => {
    const store = createStore();
    store.set('e1', revocation);
    const { id, kind, person, issuer, token } = JOB;
    const seen = { at_ms: START_MS, issued_ms: START_MS, credentials: [] };
    const parts = [{ id, kind, person, issuer, trust_rule: token.trust_rule, ...seen }];
    expect(await store.revocations().latest().isParked(null, written)).toBe(false);
    expect(
      await store
        .revocations()
        .latest()
        .isParked(null, { ...written, parts }),
    ).toBe(true);
  });

  it.each<[string, Principal, number, boolean]>([
    ['by the account itself, signed in at that moment', DANA, START_MS, true],
    ['not by what was issued before', DANA, START_MS - 1, false],
    ['not by another account', { ...DANA, id: 'person:corp:dana-alt' }, START_MS + 1, false],
    ['not by a job of theirs', JOB, START_MS + 1, false],
    ['not by an agent of theirs', AGENT, START_MS + 1, false],
  ])('ends %s', async (_, principal, issued_ms, ends) => {
    const store = createStore();
    store.set('e1', logout, { ...logout, cause: 'incident' }, { value: DANA.id });
    const { ended } = await store.revocations().latest().look(null, callerOf(principal, { issued_ms }));
    expect(ended.map(({ id }) => id)).toEqual(ends ? ['r0'] : []);
  });
});

describe('the list that flag reads go by', () => {
  it('goes on when the store does not answer', async () => {
    let fails = false;
    const revocations = createRevocations<null>({
      store: {
        epoch: async () => {
          if (fails) throw new Error('the disk is gone');
          return 'e1';
        },
        list: async () => [
          {
            id: 'r0',
            kind: 'subject',
            value: 'emp-1001',
            issued_before_ms: null,
            created_ms: START_MS,
            expires_ms: null,
            cause: 'incident',
            person: null,
            returned_ms: null,
          },
        ],
      },
      latestNames: () => ({ version: 'policy', resolve: (person) => person }),
    });
    await revocations.refresh(null);
    fails = true;
    const reading = revocations.refresh(null);
    expect(await revocations.hitByLatest(callerOf(DANA))).toMatchObject({ value: 'emp-1001' });
    await expect(reading).rejects.toThrow('the disk is gone');
    expect(revocations.hitByLatest(callerOf(DANA))).toMatchObject({ value: 'emp-1001' });
  });
});
