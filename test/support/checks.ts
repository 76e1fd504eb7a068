import { expect } from 'vitest';
import type { Reply, TestBroker } from './broker.ts';
import { packMembers, unpackMembers } from './bundles.ts';

/** Stores a bundle as morgan. */
export async function upload(t: TestBroker, archive: Buffer, who = 'morgan'): Promise<Reply> {
  const response = await fetch(`${t.url}/v1/policy/bundles`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await t.people.idToken(who)}`, 'content-type': 'application/gzip' },
    body: new Uint8Array(archive),
  });
  return { status: response.status, body: await response.json(), headers: response.headers };
}

/** A bundle with decision cases. */
export async function withCases(archive: Buffer, files: Record<string, unknown>): Promise<Buffer> {
  const members = await unpackMembers(archive);
  const cases = Object.entries(files).map(([name, content]) => ({
    header: { name: `/cases/${name}` },
    bytes: Buffer.from(JSON.stringify(content)),
  }));
  return packMembers([...members, ...cases]);
}

/** The report that a request to activate a policy is based on. */
export async function reportOf(
  t: TestBroker,
  request: Reply['body'],
  who = 'morgan',
): Promise<Reply['body']> {
  const base = (request.bases as { of: string }[]).find(({ of }) => of.startsWith('report:'));
  const { status, body } = await t.call(who, 'GET', `/v1/policy/reports/${base?.of.slice('report:'.length)}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** Checks a policy without proposing it, to the end. */
export async function checksOf(t: TestBroker, asked: object, who = 'morgan'): Promise<Reply['body']> {
  const { status, body } = await t.call(who, 'POST', '/v1/policy/checks', asked);
  expect(status, JSON.stringify(body)).toBe(202);
  for (;;) {
    const run = await t.call(who, 'GET', `/v1/policy/checks/${body.id}`);
    expect(run.status).toBe(200);
    if (run.body.state !== 'running') return run.body;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
