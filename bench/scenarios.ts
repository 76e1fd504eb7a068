import { type Connection, formPost, formRequest, type HttpAnswer } from './connection.ts';
import { CYCLE_FLAGS, contextOf, cycleFlag, ENVIRONMENT, TOGGLE_FLAGS, toggleFlag } from './flags.ts';

/** What one client works with. */
export interface Seat {
  connection: Connection;
  /** 0 and up. */
  client: number;
  /** The server's URL: what a flag looks like is remembered for each. */
  target: string;
  token: string;
  approverToken: string;
  /** A platform's token that nobody has used. */
  takeSubjectToken(): string;
}

/** One kind of work. */
export interface Scenario {
  callsPerUnit: number;
  /** @returns one unit of work, to be repeated */
  client(seat: Seat): () => Promise<void>;
}

/** What a run does: governed writes of one or three calls, token exchanges, or reads of one flag or of all that are unchanged. */
export type ScenarioName = 'toggle' | 'cycle' | 'exchange' | 'ofrep_single' | 'ofrep_unchanged';

/** No client shares a flag with another one: a conflict is not what is measured. */
const FLAGS_PER_CLIENT = 6;

/** The scenarios, with their memory of how they left each flag. */
export function createScenarios(): Record<ScenarioName, Scenario> {
  const done = new Map<string, number>();

  /** How often this server was asked to change the flag before; the next change is another one. */
  function nextTurn(target: string, flag: string): number {
    const key = `${target} ${flag}`;
    const turn = done.get(key) ?? 0;
    done.set(key, turn + 1);
    return turn;
  }

  /** Proposes what policy allows at once: an informational flag, on and off. */
  function toggle({ connection, client, target, token }: Seat): () => Promise<void> {
    let count = 0;
    return async () => {
      const flag = toggleFlag((client * FLAGS_PER_CLIENT + (count++ % FLAGS_PER_CLIENT)) % TOGGLE_FLAGS);
      const action = nextTurn(target, flag) % 2 === 0 ? 'enable' : 'disable';
      expect(
        await connection.call(formRequest({ path: '/v1/requests', token, body: toggleOf(flag, action) })),
        201,
      );
    };
  }

  /** Proposes what takes a second person, has it approved, and applies it. */
  function cycle({ connection, client, target, token, approverToken }: Seat): () => Promise<void> {
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
    };
  }

  return {
    toggle: { callsPerUnit: 1, client: toggle },
    cycle: { callsPerUnit: 3, client: cycle },
    exchange: { callsPerUnit: 1, client: exchange },
    ofrep_single: { callsPerUnit: 1, client: single },
    ofrep_unchanged: { callsPerUnit: 1, client: unchanged },
  };
}

/** Exchanges a platform's token, another one each time. */
function exchange({ connection, takeSubjectToken }: Seat): () => Promise<void> {
  return async () => {
    const form = exchangeForm(takeSubjectToken(), 'control');
    const answer = expect(await connection.call(formPost('/oauth/token', form)), 200);
    if (!answer.body.includes('"access_token":"')) throw new Error(answer.body.toString());
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

/** Asks for one flag in one context. */
function single({ connection, client, token }: Seat): () => Promise<void> {
  const path = `/ofrep/v1/evaluate/flags/${toggleFlag(client)}`;
  const request = formRequest({ path, token, body: contextOf(client) });
  return async () => {
    expect(await connection.call(request), 200);
  };
}

/** Asks for all flags, knowing them already. */
function unchanged({ connection, client, token }: Seat): () => Promise<void> {
  const question = { path: '/ofrep/v1/evaluate/flags', token, body: contextOf(client) };
  let request: string | null = null;
  return async () => {
    if (request !== null) {
      expect(await connection.call(request), 304);
      return;
    }
    const first = expect(await connection.call(formRequest(question)), 200);
    const tag = /\r\netag: ([^\r]+)/i.exec(first.head)?.[1];
    request = formRequest({ ...question, headers: `If-None-Match: ${tag}\r\n` });
  };
}

/** The content that switches a flag. */
export function toggleOf(flag: string, action: 'enable' | 'disable'): object {
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

function expect(answer: HttpAnswer, status: number): HttpAnswer {
  if (answer.status === status) return answer;
  throw new Error(`expected ${status}: ${answer.head}\n\n${answer.body.toString()}`);
}
