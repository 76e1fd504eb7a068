import { writeFile } from 'node:fs/promises';
import { startChild } from './child.ts';
import { CYCLE_FLAGS, cycleFlag, preparations, toggleFlag } from './flags.ts';
import type { Server } from './measure.ts';
import { cycleOf, exchangeForm, toggleOf } from './scenarios.ts';
import type { Stage } from './stage.ts';
import { readRequest, readTemplates, type Sample } from './templates.ts';

/** The database that every server starts with a copy of. */
export const BASE = 'base.db';
/** What the product writes for each kind of call, for the floor. */
export const TEMPLATES = 'templates.json';

/** What a preparation leaves for the runs. */
export interface Preparation {
  /** A request as one toggle leaves it, to be copied by the seed. */
  toggledId: unknown;
}

/** Starts a broker on a database of the stage, some members of its configuration changed. */
export async function startBrokerProcess(
  stage: Stage,
  database: string,
  changed: object = {},
): Promise<Server> {
  return startChild('broker-process.ts', [await stage.configure(database, changed)]);
}

/** Has a real broker create the flags, and reads back what it writes for one toggle and one cycle. */
export async function prepare(stage: Stage): Promise<Preparation> {
  const broker = await startBrokerProcess(stage, BASE);
  const { url } = await broker.ask({});
  const [author = '', approver = ''] = (
    await Promise.all([stage.personTokens('dana', 1), stage.personTokens('alex', 1)])
  ).flat();
  const call = async (token: string, path: string, body?: object): Promise<Sample> => {
    const answer = await post(`${url}${path}`, token, body);
    return { answer, request: readRequest(stage.file(BASE), answer.id) };
  };
  const approve = ({ answer }: Sample) =>
    call(approver, `/v1/requests/${answer.id}/approve`, { digest: answer.digest });

  await createFlags(url, { author, approver });
  const toggle = await call(author, '/v1/requests', toggleOf(toggleFlag(0), true));
  await call(author, '/v1/requests', toggleOf(toggleFlag(0), false));
  // The last flag of the cycle belongs to no client.
  const propose = await call(author, '/v1/requests', cycleOf(cycleFlag(CYCLE_FLAGS - 1), 0));
  const samples = { toggle, propose, approve: await approve(propose) };
  const apply = await call(author, `/v1/requests/${propose.answer.id}/apply`);
  await exchangeToken(url, await stage.ci.token());
  await broker.end();
  const templates = readTemplates(stage.file(BASE), { ...samples, apply });
  await writeFile(stage.file(TEMPLATES), JSON.stringify(templates));
  return { toggledId: toggle.answer.id };
}

/** Creates flags, those of the runs unless others are given, by the tokens of an author and an approver. */
export async function createFlags(
  url: string,
  { author, approver }: { author: string; approver: string },
  contents: readonly object[] = preparations(),
): Promise<void> {
  for (const content of contents) {
    const { id, digest, state } = await post(`${url}/v1/requests`, author, content);
    if (state !== 'applied') await post(`${url}/v1/requests/${id}/approve`, approver, { digest });
  }
}

/** Exchanges a platform's token. @returns the Countersign token */
export async function exchangeToken(
  url: string,
  subjectToken: string,
  audience: string = 'control',
): Promise<string> {
  const response = await fetch(`${url}/oauth/token`, {
    method: 'POST',
    body: exchangeForm(subjectToken, audience),
  });
  const answer = (await response.json()) as { access_token?: string };
  if (answer.access_token === undefined) throw new Error(JSON.stringify(answer));
  return answer.access_token;
}

async function post(url: string, token: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(`${url}: ${JSON.stringify(answer)}`);
  return answer;
}
