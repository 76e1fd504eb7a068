import fc from 'fast-check';
import { expect } from 'vitest';
import type { ControlDeps, WriteContext } from '../../src/decide/control.ts';
import type { Refused } from '../../src/decide/refused.ts';
import { write } from '../../src/decide/write.ts';
import { open } from '../../src/emergency/break-glass.ts';
import { engage } from '../../src/emergency/freeze.ts';
import { BrokerError } from '../../src/errors.ts';
import { createLog } from '../../src/logger.ts';
import type { Principal } from '../../src/principal.ts';
import { apply } from '../../src/requests/apply.ts';
import { applyInSession } from '../../src/requests/break-glass.ts';
import { edit } from '../../src/requests/edit.ts';
import { propose } from '../../src/requests/propose.ts';
import { approve, reject } from '../../src/requests/vote.ts';
import { withdraw } from '../../src/requests/withdraw.ts';
import { dueRequests } from '../../src/schedule/due-requests.ts';
import { personOf } from '../support/local-control.ts';
import { findContradictions, readLog } from '../support/log-oracle.ts';
import { readFreezes, readPresent, readRequests } from '../support/sqlite/rows.ts';
import {
  flagOf,
  hasEffect,
  isOpen,
  isStopped,
  type Model,
  type ModelRequest,
  type Switch,
  settleModel,
  switchFlag,
} from './model.ts';

/*
 * The commands that both the model and the real workflow carry out; each says what the answer has to be.
 */

/** The flags of the model. */
export const FLAGS = ['model-a', 'model-b'];
const NOTHING = '0190b6ac-0000-7000-8000-000000000000';

/** The real workflow on a store of its own. */
export interface Real {
  /** The broker whose turn it is: each call goes to the next of those on the database. */
  next(): ControlDeps;
  /** The database as it is now, for judges that read a file. */
  look(): Promise<string>;
  nowMs: number;
  reopen(): Promise<void>;
}

const cast: Record<string, Principal> = {
  dana: personOf('dana', ['payments-developers'], 'emp-1001'),
  'dana-alt': personOf('dana-alt', ['payments-approvers'], 'emp-1001'),
  alex: personOf('alex', ['payments-approvers'], 'emp-1002'),
  sam: personOf('sam', ['security', 'payments-approvers'], 'emp-1003'),
  riley: personOf('riley', ['responders'], 'emp-1005'),
};

/** How often a request was seen in each state, so that the test notices when it has become tame. */
export const seen = new Map<string, number>();

/** Runs one use case as somebody; a refusal is its code. */
export async function act<T>(
  real: Real,
  who: string,
  work: (writing: WriteContext) => Promise<T | Refused>,
): Promise<T | string> {
  const person = cast[who];
  if (person === undefined) throw new Error(`${who} is not in the cast`);
  const principal = { ...person, auth: { ...person.auth, auth_time_ms: real.nowMs } };
  try {
    return await write(real.next(), { principal, credential: null, http_request_id: null }, work);
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    throw error;
  }
}

/** The content of a change in production. */
export function content(changes: unknown[], manual = false) {
  const fields = { reason: 'the model', ticket: null, apply: manual ? 'manual' : 'auto', start_ms: null };
  return { kind: 'flag.change', environment: 'production', changes, ...fields } as never;
}

async function digestOf(real: Real, id: string): Promise<string> {
  return readRequests(await real.look()).find((row) => row.id === id)?.digest ?? '';
}

/** What holds after every command, whatever came before. */
async function expectInvariants(model: Model, real: Real): Promise<void> {
  const file = await real.look();
  // Log gapless, transitions in a chain, no way out of a final state, versions by one, state is the fold of versions,
  // approvals on this digest by no author, nothing switched on under a freeze.
  expect(await findContradictions(file)).toEqual([]);
  for (const { flag, environment, version, document } of readPresent(file)) {
    if (environment !== 'production') continue;
    expect({ version, enabled: JSON.parse(document).enabled }).toEqual({ ...flagOf(model, flag) });
  }
  const stored = new Map(readRequests(file).map((row) => [row.id, row.state]));
  for (const { id, state } of model.requests) {
    expect({ id, state: stored.get(id) }).toEqual({ id, state });
    seen.set(state, (seen.get(state) ?? 0) + 1);
  }
  const active = readFreezes(file).filter(({ lifted_ms }) => lifted_ms === null);
  expect(active.map(({ id }) => id).sort()).toEqual([...model.freezes.keys()].sort());
  for (const entry of readLog(file)) {
    if (entry.operation !== 'breakglass.apply' || entry.request?.to !== 'applied') continue;
    expect(entry.input.emergency.breakglass?.expires_ms).toBeGreaterThan(entry.input.clock.now_ms);
    for (const { facts } of entry.input.request?.changes ?? []) expect(facts.audience_grew).toBe(false);
  }
}

type Command = fc.AsyncCommand<Model, Real>;

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      await expectInvariants(model, real);
    },
    toString: () => name,
  };
}

const proposeCommand = (flag: string, action: Switch, manual: boolean) =>
  command(`propose ${action} ${flag}${manual ? ' manual' : ''}`, async (model, real) => {
    const change = { flag, action };
    const answer = await act(real, 'dana', (writing) => propose(writing, content([change], manual)));
    if (!hasEffect(model, change)) return expect(answer).toBe('invalid_change');
    if (isStopped(model, change)) return expect(answer).toBe('policy_denied');
    if (typeof answer === 'string') throw new Error(`proposing was refused: ${answer}`);
    const base = flagOf(model, flag).version;
    const request: ModelRequest = {
      id: answer.request.id,
      ...change,
      manual,
      base,
      approved: false,
      state: 'pending',
    };
    settleModel(model, request, false);
    model.requests.push(request);
  });

/** A command about one of the requests, the newest most likely. */
function about(
  name: string,
  place: number,
  run: (request: ModelRequest, model: Model, real: Real) => Promise<void>,
): Command {
  return command(`${name} #${place}`, async (model, real) => {
    const request = model.requests.at(-1 - (place % Math.max(1, model.requests.length)));
    if (request !== undefined) await run(request, model, real);
  });
}

const approveCommand = (place: number, who: string) =>
  about(`approve by ${who}`, place, async (request, model, real) => {
    const word = { request_id: request.id, digest: await digestOf(real, request.id), comment: null };
    const answer = await act(real, who, (writing) => approve(writing, word));
    if (!isOpen(request)) return expect(answer).toBe('request_closed');
    if (who.startsWith('dana') || request.action === 'disable') return expect(answer).toBe('policy_denied');
    request.approved = true;
    settleModel(model, request, false);
    expect(answer).toMatchObject({ state: request.state });
  });

const rejectCommand = (place: number, who: string) =>
  about(`reject by ${who}`, place, async (request, _model, real) => {
    const word = { request_id: request.id, digest: await digestOf(real, request.id), comment: null };
    const answer = await act(real, who, (writing) => reject(writing, word));
    if (!isOpen(request)) return expect(answer).toBe('request_closed');
    if (who.startsWith('dana')) return expect(answer).toBe('policy_denied');
    request.state = 'rejected';
  });

const withdrawCommand = (place: number, who: string) =>
  about(`withdraw by ${who}`, place, async (request, _model, real) => {
    const answer = await act(real, who, (writing) =>
      withdraw(writing, { request_id: request.id, digest: null }),
    );
    if (!isOpen(request)) return expect(answer).toBe('request_closed');
    if (!who.startsWith('dana')) return expect(answer).toBe('policy_denied');
    request.state = 'withdrawn';
  });

const editCommand = (place: number) =>
  about('edit', place, async (request, model, real) => {
    const change = { reason: `edit ${real.nowMs}` };
    const answer = await act(real, 'dana', (writing) =>
      edit(writing, { request_id: request.id, change, condition: { ifMatch: '*', digest: undefined } }),
    );
    if (!isOpen(request)) return expect(answer).toBe('request_closed');
    if (!hasEffect(model, request)) return expect(answer).toBe('invalid_change');
    if (isStopped(model, request)) return expect(answer).toBe('policy_denied');
    Object.assign(request, { approved: false, base: flagOf(model, request.flag).version, state: 'pending' });
    settleModel(model, request, false);
    // Two edits in one moment are one content; then the approvals stay.
    real.nowMs += 1;
  });

const applyCommand = (place: number) =>
  about('apply', place, async (request, model, real) => {
    const answer = await act(real, 'dana', (writing) =>
      apply(writing, { request_id: request.id, digest: null }),
    );
    if (request.state === 'applied') return expect(answer).toMatchObject({ state: 'applied' });
    if (!isOpen(request)) return expect(answer).toBe('request_closed');
    const stopped = isStopped(model, request);
    settleModel(model, request, true);
    if (stopped || isOpen(request)) return expect(answer).toBe('policy_denied');
    expect(answer).toEqual(
      request.state === 'conflicted' ? 'request_conflicted' : expect.objectContaining({ state: 'applied' }),
    );
  });

const freezeCommand = (flag: string) =>
  command(`freeze ${flag}`, async (model, real) => {
    const incident = `INC-${real.nowMs}-${model.freezes.size}`;
    const answer = await act(real, 'riley', (writing) =>
      engage(writing, { scope: 'flag', flag, yet_unknown: false, incident, reason: 'model' }),
    );
    if (typeof answer === 'string') throw new Error(`freezing was refused: ${answer}`);
    model.freezes.set(answer.id, flag);
    real.nowMs += 1;
  });

const liftCommand = () =>
  command('lift', async (model, real) => {
    const freeze = [...model.freezes.keys()][0] ?? NOTHING;
    const fields = { reason: 'over', ticket: null, apply: 'auto' as const, start_ms: null };
    const answer = await act(real, 'riley', (writing) =>
      propose(writing, { kind: 'freeze.lift', freeze, ...fields }),
    );
    if (freeze === NOTHING) return expect(answer).toBe('invalid_change');
    if (typeof answer === 'string') throw new Error(`lifting was refused: ${answer}`);
    const word = { request_id: answer.request.id, digest: answer.request.digest, comment: null };
    expect(await act(real, 'riley', (writing) => approve(writing, word))).toBe('policy_denied');
    expect(await act(real, 'sam', (writing) => approve(writing, word))).toMatchObject({ state: 'applied' });
    model.freezes.delete(freeze);
  });

const breakGlassCommand = (flag: string, action: Switch) =>
  command(`break-glass ${action} ${flag}`, async (model, real) => {
    const now = real.nowMs;
    const session = await act(real, 'riley', (writing) =>
      open(writing, { incident: `INC-${now}`, reason: 'model' }),
    );
    const recent = model.sessions.filter(({ opened_ms }) => opened_ms >= now - 7 * 86_400_000);
    if (recent.some(({ expires_ms }) => expires_ms > now)) return expect(session).toBe('state_conflict');
    if (recent.length >= 2) return expect(session).toBe('policy_denied');
    if (typeof session === 'string') throw new Error(`opening was refused: ${session}`);
    model.sessions.push({ opened_ms: now, expires_ms: session.expires_ms });
    const change = { environment: 'production', changes: [{ action, flag }] };
    const answer = await act(real, 'riley', (writing) => applyInSession(writing, session.id, change));
    if (!hasEffect(model, { flag, action })) return expect(answer).toBe('invalid_change');
    if (action === 'enable') return expect(answer).toBe('policy_denied');
    expect(answer).toMatchObject({ request: { state: 'applied' } });
    switchFlag(model, { flag, action });
  });

/** Which of two requests that both may be applied comes first is the scheduler's to say; the model takes its word. */
const tickCommand = (minutes: number) =>
  command(`tick after ${minutes} minutes`, async (model, real) => {
    real.nowMs += minutes * 60_000;
    const due = () => dueRequests({ control: real.next(), log: createLog('silent') });
    await Promise.all([due().run(), due().run()]);
    const log = readLog(await real.look()).filter((entry) => entry.request?.to === 'applied');
    const order = new Map(log.map((entry, place) => [entry.request?.id, place]));
    const last = log.length;
    const waiting = model.requests
      .filter(isOpen)
      .toSorted((one, other) => (order.get(one.id) ?? last) - (order.get(other.id) ?? last));
    for (const request of waiting) settleModel(model, request, false);
  });

const restartCommand = () => command('restart', (_model, real) => real.reopen());

const flag = fc.constantFrom(...FLAGS);
const action = fc.constantFrom<Switch>('enable', 'enable', 'disable');
const place = fc.nat(2);
const proposeEnable = flag.map((f) => proposeCommand(f, 'enable', false));
const approveAny = fc.tuple(place, fc.constantFrom('alex', 'sam')).map(([n, who]) => approveCommand(n, who));
/** All commands. Proposals and approvals stand here several times, so that requests meet on one flag. */
export const commands = [
  proposeEnable,
  proposeEnable,
  proposeEnable,
  approveAny,
  approveAny,
  approveAny,
  fc.tuple(flag, action, fc.boolean()).map(([f, a, manual]) => proposeCommand(f, a, manual)),
  fc.tuple(flag, action).map(([f, a]) => proposeCommand(f, a, false)),
  fc
    .tuple(place, fc.constantFrom('dana', 'dana-alt', 'alex', 'sam', 'alex'))
    .map(([n, who]) => approveCommand(n, who)),
  fc.tuple(place, fc.constantFrom('dana', 'alex')).map(([n, who]) => rejectCommand(n, who)),
  fc.tuple(place, fc.constantFrom('dana', 'sam')).map(([n, who]) => withdrawCommand(n, who)),
  place.map(editCommand),
  place.map(applyCommand),
  flag.map(freezeCommand),
  fc.constant(liftCommand()),
  fc.tuple(flag, fc.constantFrom<Switch>('enable', 'disable')).map(([f, a]) => breakGlassCommand(f, a)),
  fc.integer({ min: 1, max: 90 }).map(tickCommand),
  fc.constant(restartCommand()),
];
