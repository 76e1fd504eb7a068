import type { Bench } from './bench.ts';
import { job } from './bench.ts';
import { fixed, whole } from './figures.ts';
import { quantileMs } from './latency.ts';
import { warmUp } from './measure.ts';
import { BASE, startBrokerProcess } from './prepare.ts';
import { BROKER } from './ratios.ts';

/** How long is measured, in rounds of the other rows: an activation takes seconds. */
const LONGER = 8;
const CLIENTS = 8;

/** The people who activate policies; the first proposes. */
const PEOPLE = ['morgan', 'jordan', 'sam'] as const;

/** Writes while rows of the policy's data are proposed, approved and activated, one after another. */
export async function measureActivations(bench: Bench): Promise<void> {
  const { stage, report, load, pace } = bench;
  await stage.copyDatabase(BASE, 'activations.db');
  const broker = await startBrokerProcess(stage, 'activations.db');
  const { url } = await broker.ask({});
  const [tokens] = await Promise.all([
    Promise.all(PEOPLE.map(async (person) => (await stage.personTokens(person, 1))[0] ?? '')),
  ]);
  for (const token of tokens) await call(url, token, 'GET', '/v1/whoami');
  report.heading(
    'Writes while policies are activated',
    `Toggles of ${CLIENTS} clients, without and with activations of rows of data one after another, each with its gates. How late the thread of the broker was is measured in its process.`,
  );
  report.header([
    '',
    'activations',
    'per second',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'max ms',
    'thread late p99 ms',
    'max ms',
  ]);
  const contestant = { name: BROKER, server: broker, job: job(bench, 'toggle', CLIENTS) };
  await warmUp(load, [contestant], pace.warmUpMs);
  for (const name of ['toggle', 'toggle, activating'] as const) {
    const isActivating = name !== 'toggle';
    await broker.ask({});
    const running = new AbortController();
    const activated = isActivating ? activateUntil(url, tokens, running.signal) : Promise.resolve(0);
    const { perSecond, latencies } = await load.ask({
      ...contestant.job,
      measureMs: pace.measureMs * LONGER,
      url,
    });
    const { lateP99Ms, lateMaxMs } = await broker.ask({});
    running.abort();
    const times = [0.5, 0.99, 0.999, 1].map((share) => quantileMs(latencies, share));
    report.row([
      name,
      whole(await activated),
      whole(perSecond),
      ...[...times, lateP99Ms, lateMaxMs].map((ms) => fixed(ms, 1)),
    ]);
  }
  await broker.end();
}

/** @returns how many activations there were until `until` */
async function activateUntil(url: string, tokens: readonly string[], until: AbortSignal): Promise<number> {
  const [author = '', ...approvers] = tokens;
  let count = 0;
  for (let seconds = 3600; !until.aborted; seconds += 1) {
    const patch = [{ op: 'replace', path: '/config/limits/request_ttl_s', value: 86_400 + seconds }];
    const body = { kind: 'policy.activate', patch, reason: 'a row of data' };
    let request = await call(url, author, 'POST', '/v1/requests', body);
    for (const token of approvers) {
      const path = `/v1/requests/${request.id}/approve`;
      request = await call(url, token, 'POST', path, { digest: request.digest });
    }
    if (request.state !== 'applied') throw new Error(JSON.stringify(request));
    count += 1;
  }
  return count;
}

async function call(
  url: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ id: string; digest: string; state: string }> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text);
}
