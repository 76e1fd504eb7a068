import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlDeps, WriteContext } from '../../src/decide/control.ts';
import type { Refused } from '../../src/decide/refused.ts';
import { write } from '../../src/decide/write.ts';
import type { Credential } from '../../src/identity/credential.ts';
import { activate } from '../../src/policy/activate.ts';
import { type Bundle, readBundle } from '../../src/policy/bundle.ts';
import { type Principal, schedulerPrincipal } from '../../src/principal.ts';
import { toContent } from '../../src/requests/content.ts';
import { flagChangeContentSchema } from '../../src/requests/kinds/flag-change.ts';
import { propose } from '../../src/requests/propose.ts';
import { type ChangeRequest, loadVotes } from '../../src/requests/request.ts';
import { approve } from '../../src/requests/vote.ts';
import { revokeAsPerson } from '../../src/revocation/incident.ts';
import { setPersonState, stateOfPerson } from '../../src/revocation/provisioning.ts';
import { createUser, findUser } from '../../src/revocation/scim-users.ts';
import { storeBundle } from '../../src/store/policies.ts';
import { trustRulesOf } from '../../src/trust/policy-rules.ts';
import { activateElsewhere, withConfig } from '../support/activation.ts';
import { creation, TICKET } from '../support/flags.ts';
import { openControl, personOf } from '../support/local-control.ts';

/*
 * A policy that gives a person another name. Whoever was revoked, disabled or logged out under one name is so under the
 * other in the same write that meets the policy: in the batch of its activation, after it, and where another broker has
 * activated it.
 */

const NOW_MS = Date.UTC(2026, 10, 18, 9, 30);
const SHIPPED = new URL('../../policies/examples/demo/bundle.tar.gz', import.meta.url);
const ISSUER = 'http://127.0.0.1:9401';

const signedIn = (person: Principal) => ({
  ...person,
  auth: { ...person.auth, auth_time_ms: NOW_MS - 1000 },
});
const dana = signedIn(personOf('dana', ['payments-developers'], 'emp-1001'));
/** The second account of emp-1002, which the first policy takes for somebody else. */
const alexAlt = signedIn(personOf('alex-alt', ['payments-approvers'], 'emp-9002'));
const riley = signedIn(personOf('riley', ['responders'], 'emp-1004'));
const pat = signedIn(personOf('pat', ['platform'], 'emp-1006'));

let folder: string;
let control: ControlDeps;
let renaming: Bundle;
let request: ChangeRequest;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-renamed-'));
  const shipped = await readFile(SHIPPED);
  control = await openControl({
    file: join(folder, 'test.db'),
    archive: shipped,
    clock: () => NOW_MS,
    policies: { assertUsable: trustRulesOf },
  });
  renaming = await readBundle(
    await withConfig(shipped, (config) => {
      Object.assign(config.persons ?? {}, { 'emp-9002': 'emp-1002' });
    }),
  );
  const content = {
    environment: 'production',
    reason: 'a test',
    ticket: TICKET,
    changes: [creation('a', { tier: 'high-risk' })],
  };
  const proposed = await as(dana, (writing) =>
    propose(writing, toContent(flagChangeContentSchema.parse(content))),
  );
  request = proposed.request;
});

afterEach(async () => {
  await control.store.close();
  await rm(folder, { recursive: true, force: true });
});

function as<T>(principal: Principal, work: (writing: WriteContext) => Promise<T | Refused>): Promise<T> {
  return write(control, { principal, credential: null, http_request_id: null }, work);
}

async function activateHere(): Promise<void> {
  const { hash: policy_hash, archive_digest, revision, archive } = renaming;
  const key = { policy_hash, archive_digest };
  await write(
    control,
    { principal: schedulerPrincipal, credential: null, http_request_id: null },
    async (writing) => {
      await storeBundle(writing.tx, { ...key, revision, archive, stored_ms: NOW_MS });
      await activate(writing, { ...key, decision_id: null, request_id: null, stage: null });
    },
  );
}

/** The ways in which a write comes to meet the other policy. */
const WAYS: Record<string, <T>(work: () => Promise<T>) => Promise<T>> = {
  'after the activation': async (work) => {
    await activateHere();
    return work();
  },
  'in the batch of the activation': async (work) => {
    // As its proposal did: an activation that has to be prepared lets the others of its batch pass.
    const { hash: policy_hash, archive_digest, archive } = renaming;
    await control.policies.prepare({ policy_hash, archive_digest, archive });
    return (await Promise.all([activateHere(), work()]))[1];
  },
  'first, when another broker has activated it': async (work) => {
    await activateElsewhere(control.store, renaming.archive, NOW_MS);
    return work();
  },
};

const vote = (writing: WriteContext) =>
  approve(writing, { request_id: request.id, digest: request.digest, comment: null });

const revokePerson = () =>
  as(riley, (writing) =>
    revokeAsPerson(
      writing,
      { kind: 'subject', value: 'emp-1002', issued_before_ms: null, incident: 'INC-1', reason: 'x' },
      { issuer: 'https://broker.example', personIssuers: [ISSUER], fresh: null },
    ),
  );

/** A vote by the second account, with a token of theirs: accepted, or the code of its refusal. */
async function voteWithToken(): Promise<string> {
  const credential: Credential = {
    issuer: ISSUER,
    token_id: 'jti:1',
    kid: null,
    session: null,
    issued_ms: NOW_MS - 1000,
    expires_ms: NOW_MS + 60_000,
    proof: null,
  };
  return write(control, { principal: alexAlt, credential, http_request_id: null }, vote).then(
    () => 'accepted',
    (error: { code?: string }) => String(error.code),
  );
}

const voided = async () =>
  (await loadVotes(control.store.read, request.id)).map(({ voided_ms }) => voided_ms !== null);

describe.each(Object.entries(WAYS))('%s', (_name, meet) => {
  it('refuses a vote by a person who is revoked under the other name', async () => {
    await revokePerson();
    expect(await meet(voteWithToken)).toBe('token_invalid');
    expect(await voided()).toEqual([]);
  });

  it('voids the votes that a revoked person gave under the other name', async () => {
    await as(alexAlt, vote);
    const { hits } = await meet(revokePerson);
    expect(hits.approvals).toMatchObject([{ request: request.id, person: 'emp-9002' }]);
    expect(await voided()).toEqual([true]);
  });

  it('shows a person disabled under the former name as disabled, and lets them be enabled', async () => {
    const former = { names: { externalId: 'emp-9002' }, fault: null };
    await as(pat, (writing) => createUser(writing, former, { attribute: 'externalId', prefix: '' }));
    await as(pat, (writing) => setPersonState(writing, 'emp-9002', 'disabled'));
    const state = await meet(() => as(pat, (writing) => setPersonState(writing, 'emp-1002', 'disabled')));
    expect(state).toBe('disabled');
    const policy = await control.policies.active(control.store.read);
    expect(await stateOfPerson(control.store.read, policy, 'emp-1002')).toBe('disabled');
    // The id that the provider knows is stable (RFC 7643 section 3.1), and names the person of now.
    const user = await findUser(control.store.read, policy, 'emp-9002');
    expect(user).toMatchObject({ id: 'emp-9002', person: 'emp-1002', state: 'disabled' });
    expect(await voteWithToken()).toBe('token_invalid');

    // By the former name too: what is asked is resolved under the policy that the write meets.
    await as(pat, (writing) => setPersonState(writing, 'emp-9002', 'active'));
    expect(await stateOfPerson(control.store.read, policy, 'emp-1002')).toBe('active');
    const { revocations } = control;
    expect(await revocations.latest().isBlocked(control.store.read, alexAlt)).toBe(false);
  });
});

it('leaves a person alone whom the policy takes for another', async () => {
  await revokePerson();
  expect(await voteWithToken()).toBe('accepted');
  expect(await voided()).toEqual([false]);
});
