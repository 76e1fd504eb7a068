import { type Connection, formPost, formRequest, type HttpAnswer } from './connection.ts';
import { CYCLE_FLAGS, cycleFlag, ENVIRONMENT, TOGGLE_FLAGS, toggleFlag } from './flags.ts';

/** What one client works with. */
export interface Seat {
  connection: Connection;
  /** 0 and up. */
  client: number;
  /** The server's URL: what a flag looks like is remembered for each. */
  target: string;
  token: string;
  approverToken: string;
  /** What is sent, and how it is answered, where that is fixed. */
  request: string;
  status: number;
  /** A token that nobody has used; undefined when there are no more. */
  takeToken(): string | undefined;
}

/** One unit of work, to be repeated. @returns false when there is nothing left to do it with */
export type Unit = () => Promise<boolean>;

/**
 * What a run does: governed writes of one or three calls, the first also with a token that nobody has used before and
 * an `Idempotency-Key`; token exchanges; the switching of a flag in Unleash; or requests that are fixed.
 */
export type ScenarioName = 'toggle' | 'toggle_anew' | 'cycle' | 'exchange' | 'unleash_toggle' | 'fixed';

/** No client shares a flag with another one: a conflict is not what is measured. */
const FLAGS_PER_CLIENT = 6;

/** The scenarios, with their memory of how they left each flag. */
export function createScenarios(): Record<ScenarioName, (seat: Seat) => Unit> {
  const done = new Map<string, number>();

  /** How often this server was asked to change the flag before; the next change is another one. */
  function nextTurn(target: string, flag: string): number {
    const key = `${target} ${flag}`;
    const turn = done.get(key) ?? 0;
    done.set(key, turn + 1);
    return turn;
  }

  /** The flags of one client, one after another, each with how often it was switched before. */
  function switching({ client, target }: Seat): () => { flag: string; isOn: boolean } {
    let count = 0;
    return () => {
      const flag = toggleFlag((client * FLAGS_PER_CLIENT + (count++ % FLAGS_PER_CLIENT)) % TOGGLE_FLAGS);
      return { flag, isOn: nextTurn(target, flag) % 2 === 0 };
    };
  }

  /** Proposes what policy allows at once: an informational flag, on and off. */
  function toggle(seat: Seat): Unit {
    const next = switching(seat);
    return async () => {
      const { flag, isOn } = next();
      const request = { path: '/v1/requests', token: seat.token, body: toggleOf(flag, isOn) };
      expect(await seat.connection.call(formRequest(request)), 201);
      return true;
    };
  }

  /** The same as a caller who was never seen, and who may ask again after a broken connection. */
  function toggleAnew(seat: Seat): Unit {
    const next = switching(seat);
    return async () => {
      const token = seat.takeToken();
      if (token === undefined) return false;
      const { flag, isOn } = next();
      // A token signed by ECDSA never has the signature of another one.
      const headers = `Idempotency-Key: ${token.slice(-40)}\r\n`;
      const request = { path: '/v1/requests', token, body: toggleOf(flag, isOn), headers };
      expect(await seat.connection.call(formRequest(request)), 201);
      return true;
    };
  }

  /** Proposes what takes a second person, has it approved, and applies it. */
  function cycle({ connection, client, target, token, approverToken }: Seat): Unit {
    return async () => {
      const flag = cycleFlag(client % CYCLE_FLAGS);
      const body = cycleOf(flag, nextTurn(target, flag));
      const proposed = expect(await connection.call(formRequest({ path: '/v1/requests', token, body })), 201);
      const { id, digest } = JSON.parse(proposed.body.toString()) as { id: string; digest: string };
      const path = `/v1/requests/${id}`;
      const approval = { path: `${path}/approve`, token: approverToken, body: { digest } };
      expect(await connection.call(formRequest(approval)), 200);
      const applied = await connection.call(formRequest({ path: `${path}/apply`, token, body: undefined }));
      expect(applied, 200);
      if (!applied.body.includes('"state":"applied"')) throw new Error(applied.body.toString());
      return true;
    };
  }

  /** Switches a flag in one environment, with nobody asked. */
  function unleashToggle(seat: Seat): Unit {
    const next = switching(seat);
    return async () => {
      const { flag, isOn } = next();
      const path = `${UNLEASH_FEATURES}/${flag}/environments/${UNLEASH_ENVIRONMENT}/${isOn ? 'on' : 'off'}`;
      const headers = `Authorization: ${seat.token}\r\n`;
      expect(await seat.connection.call(formRequest({ path, token: null, body: {}, headers })), 200);
      return true;
    };
  }

  return {
    toggle,
    toggle_anew: toggleAnew,
    cycle,
    exchange,
    unleash_toggle: unleashToggle,
    fixed,
  };
}

/** Where Unleash keeps the flags of its first project. */
export const UNLEASH_FEATURES = '/api/admin/projects/default/features';
/** One of the environments that Unleash begins with. */
export const UNLEASH_ENVIRONMENT = 'development';

/** Exchanges a platform's token, another one each time. */
function exchange({ connection, takeToken }: Seat): Unit {
  return async () => {
    const subjectToken = takeToken();
    if (subjectToken === undefined) return false;
    const form = exchangeForm(subjectToken, 'control');
    const answer = expect(await connection.call(formPost('/oauth/token', form)), 200);
    if (!answer.body.includes('"access_token":"')) throw new Error(answer.body.toString());
    return true;
  };
}

/** The form of a token exchange. RFC 8693 section 2.1 */
export function exchangeForm(subjectToken: string, audience: string): URLSearchParams {
  return new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: subjectToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    audience,
  });
}

/** Asks the same again and again. */
function fixed({ connection, request, status }: Seat): Unit {
  return async () => {
    expect(await connection.call(request), status);
    return true;
  };
}

/** The content that switches a flag. */
export function toggleOf(flag: string, isOn: boolean): object {
  const action = isOn ? 'enable' : 'disable';
  return { environment: ENVIRONMENT, changes: [{ action, flag }], reason: 'Measured by the benchmark' };
}

/** The content that shows a flag to other organizations; each turn is a change. */
export function cycleOf(flag: string, turn: number): object {
  const audience = { kind: 'some', organizations: [`org-${turn % 7}`], users: [] };
  return {
    environment: ENVIRONMENT,
    changes: [{ action: 'set_audience', flag, audience }],
    reason: 'Measured by the benchmark',
    apply: 'manual',
  };
}

/** The bytes of a proposal. */
export function formProposal(content: object, token: string): string {
  return formRequest({ path: '/v1/requests', token, body: content });
}

/** @throws Error when the answer has another status */
export function expect(answer: HttpAnswer, status: number): HttpAnswer {
  if (answer.status === status) return answer;
  throw new Error(`expected ${status}: ${answer.head}\n\n${answer.body.toString()}`);
}
