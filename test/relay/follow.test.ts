import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { RelayOptions } from '../../src/relay/relay.ts';
import type { Report } from '../../src/relay/reports.ts';
import { NOW_MS, newSigner } from '../support/forged-snapshots.ts';
import { QUICK, readAt, until } from '../support/relay.ts';
import { type ForgedVersion, forgedVersion, publish } from '../support/relay-source.ts';
import { relayStage } from './stage.ts';

/* How a relay follows a broker, and what it tells it. */

const signer = newSigner();
const { stage, production, codes, valueNow } = relayStage(signer);
const [FIVE, SIX, SEVEN] = [5, 6, 7].map((version) => forgedVersion(signer, version)) as [
  ForgedVersion,
  ForgedVersion,
  ForgedVersion,
];

/** Polls so seldom that only a stream can have brought something. */
const STREAM_ONLY = { ...QUICK, pollStreamingMs: 3_600_000, silenceMs: 10_000 };
/** The same, with a stream that is soon taken for dead. */
const IMPATIENT = { ...STREAM_ONLY, silenceMs: 200 };

/** A source that is a broker, with tokens that are counted. */
function broker(options: Partial<RelayOptions> = {}) {
  const exchanged: string[] = [];
  const source: RelayOptions['source'] = {
    kind: 'broker',
    broker: stage.source.url,
    exchange: async (audience) => {
      exchanged.push(audience);
      return { value: `token-${exchanged.length}`, expiresMs: stage.clock() + 600_000 };
    },
  };
  return { exchanged, start: () => stage.start({ source, pace: STREAM_ONLY, ...options }) };
}

/** Opens streams; the last one is that of the relay. */
function streams(): ServerResponse[] {
  const open: ServerResponse[] = [];
  stage.source.answers.set('production/events?relay=relay-1', (_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.flushHeaders();
    open.push(res);
  });
  return open;
}

function send(res: ServerResponse | undefined, { latest, body, file }: ForgedVersion): void {
  stage.source.answers.set(`production/${file}`, body);
  res?.write(`event: latest\ndata: ${latest}\n\n`);
}

describe('a file that cannot be read', () => {
  it('keeps no flags from being followed', async () => {
    stage.source.answers.set('production/readers.json', (_, res) => res.writeHead(500).end());
    publish(stage.source, FIVE);
    // Who reads is told by the list, so it is followed, too.
    await stage.startByLists();
    await until(production, ({ version }) => version === 5);
    await until(codes, (present) => present.includes('source_busy'));
    expect(production().connection.state).toBe('polling');
    publish(stage.source, SIX);
    await until(production, ({ version }) => version === 6);
  });
});

describe('a stream', () => {
  it('that ends at once each time is asked for ever more seldom', async () => {
    const opened: number[] = [];
    stage.source.answers.set('production/events?relay=relay-1', (_, res) => {
      opened.push(performance.now());
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end();
    });
    publish(stage.source, FIVE);
    await broker({ random: () => 1, pace: { ...QUICK, retryMs: 10, maxRetryMs: 3_600_000 } }).start();
    const [, , , , fifth = 0, sixth = 0] = await until(
      () => opened,
      ({ length }) => length >= 6,
    );
    // The sixth pause is 32 times the first; a machine under load makes it longer still.
    expect(sixth - fifth).toBeGreaterThan(100);
  });

  it('brings each version at once', async () => {
    const open = streams();
    await broker().start();
    await until(
      () => open.length,
      (count) => count === 1,
    );
    send(open[0], FIVE);
    await until(production, ({ version }) => version === 5);
    expect(production().connection.state).toBe('streaming');
    const polls = stage.source.asked.get('production/latest.json') ?? 0;
    send(open[0], SIX);
    await until(production, ({ version }) => version === 6);
    expect(await valueNow()).toBe('version 6');
    expect(stage.source.asked.get('production/latest.json') ?? 0).toBeLessThanOrEqual(polls + 1);
  });

  it('that passes nothing on is dead: the relay polls, and connects again', async () => {
    const open = streams();
    await broker({ pace: IMPATIENT }).start();
    await until(
      () => open.length,
      (count) => count === 1,
    );
    send(open[0], FIVE);
    await until(production, ({ version }) => version === 5);
    // From here on nothing arrives, and nobody ends the connection.
    publish(stage.source, SIX);
    await until(codes, (present) => present.includes('stream_silent'));
    await until(production, ({ version }) => version === 6);
    await until(
      () => open.length,
      (count) => count >= 2,
    );
    send(open.at(-1), SEVEN);
    await until(production, ({ version }) => version === 7);
  });

  it('that only trickles is dead, too', async () => {
    const open = streams();
    await broker({ pace: IMPATIENT }).start();
    await until(
      () => open.length,
      (count) => count === 1,
    );
    open[0]?.write('event: latest\ndata: ');
    const timer = setInterval(() => open[0]?.write('x'), 20);
    await until(codes, (present) => present.includes('stream_silent'));
    clearInterval(timer);
  });

  it('is alive by its heartbeats alone, and polls go on slowly beside it', async () => {
    const open = streams();
    publish(stage.source, FIVE);
    await broker({ pace: { ...QUICK, pollStreamingMs: 500, silenceMs: 2000 } }).start();
    await until(
      () => open.length,
      (count) => count === 1,
    );
    const timer = setInterval(() => open[0]?.write(': heartbeat\n\n'), 50);
    open[0]?.write(`event: latest\ndata: ${FIVE.latest}\n\n`);
    await until(production, ({ connection }) => connection.state === 'streaming');
    // What a middlebox hides is found by a poll.
    publish(stage.source, SIX);
    await until(production, ({ version }) => version === 6);
    clearInterval(timer);
    expect(open).toHaveLength(1);
    expect(production().connection.state).toBe('streaming');
  });

  it.each([
    ['of another type', 'text/html', '<!doctype html>'],
    ['that is no UTF-8', 'text/event-stream', Buffer.of(0xff, 0xfe, 0xff)],
  ])('%s is refused, and polled around', async (_, type, content) => {
    publish(stage.source, FIVE);
    stage.source.answers.set('production/events?relay=relay-1', (_req, res) => {
      res.writeHead(200, { 'content-type': type });
      res.write(content);
    });
    await broker().start();
    await until(codes, (present) => present.includes('stream_malformed'));
    await until(production, ({ version }) => version === 5);
    expect(production().connection.state).toBe('polling');
  });

  it('with an event of another kind, or a forged one, changes nothing', async () => {
    const open = streams();
    publish(stage.source, FIVE);
    await broker().start();
    await until(
      () => open.length,
      (count) => count === 1,
    );
    send(open[0], FIVE);
    await until(production, ({ version }) => version === 5);
    open[0]?.write('event: sale\ndata: {"everything":"half"}\n\n');
    send(open[0], forgedVersion(newSigner(), 6));
    await until(
      () => production().last_fault?.code,
      (code) => code === 'unknown_key',
    );
    expect(await valueNow()).toBe('version 5');
  });
});

describe('a token', () => {
  it('that is not accepted any more is replaced, and a refused exchange ends nothing', async () => {
    publish(stage.source, FIVE);
    const seen: (string | undefined)[] = [];
    let accepted = 'Bearer token-1';
    stage.source.answers.set('production/latest.json', (req, res) => {
      const { authorization } = req.headers;
      seen.push(authorization);
      res.writeHead(authorization === accepted ? 200 : 401).end(FIVE.latest);
    });
    let refuses = false;
    let issued = 0;
    await stage.start({
      source: {
        kind: 'broker',
        broker: stage.source.url,
        exchange: async () => {
          if (refuses) throw new Error('no trust rule matches');
          issued += 1;
          return { value: `token-${issued}`, expiresMs: stage.clock() + 600_000 };
        },
      },
    });
    await until(production, ({ version }) => version === 5);
    refuses = true;
    accepted = 'Bearer token-2';
    await until(codes, (present) => present.includes('token_refused'));
    expect(production().last_fault?.detail).toContain('no trust rule matches');
    expect(await valueNow()).toBe('version 5');
    refuses = false;
    // The pause after a refusal is over.
    stage.clock.advance(1000);
    await until(
      () => seen,
      (all) => all.includes('Bearer token-2'),
    );
    await until(codes, (present) => !present.includes('token_refused'));
  });

  it('is renewed before it expires, at a moment that is not the same for every relay', async () => {
    publish(stage.source, FIVE);
    const { exchanged, start } = broker({ pace: QUICK, random: () => 0 });
    await start();
    await until(production, ({ version }) => version === 5);
    expect(exchanged).toEqual(['data:production']);
    // A third of its life is left.
    stage.clock.advance(399_000);
    const polls = stage.source.asked.get('production/latest.json') ?? 0;
    await until(
      () => stage.source.asked.get('production/latest.json') ?? 0,
      (count) => count > polls + 2,
    );
    expect(exchanged).toHaveLength(1);
    stage.clock.advance(2000);
    await until(
      () => exchanged,
      (all) => all.length === 2,
    );
  });
});

describe('reports', () => {
  /** What arrived, and what is answered. */
  function collect(answer: (report: Report) => number): Report[] {
    const reports: Report[] = [];
    stage.source.answers.set('production/reports', (req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk) => chunks.push(chunk));
      req.on('end', () => {
        const report = JSON.parse(Buffer.concat(chunks).toString()) as Report;
        reports.push(report);
        res.writeHead(answer(report)).end();
      });
    });
    return reports;
  }
  const readsIn = (reports: readonly Report[]) => {
    const once = new Map(reports.map((report) => [report.id, report]));
    return [...once.values()].flatMap(({ reads }) => reads).reduce((sum, { count }) => sum + count, 0);
  };

  it('are never larger than what a broker takes', async () => {
    const keys = Array.from({ length: 400 }, (_, each) => `long-${each}-`.padEnd(100, 'x'));
    publish(
      stage.source,
      forgedVersion(signer, 5, {}, Object.fromEntries(keys.map((key) => [key, 'release' as const]))),
    );
    const reports = collect(() => 204);
    await broker({ pace: { ...QUICK, reportMs: 3_600_000 } }).start();
    await until(production, ({ version }) => version === 5);
    const token = `only:*,${'w'.repeat(900)}`;
    const response = await fetch(`${stage.relay.url}/ofrep/v1/evaluate/flags`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    });
    expect(response.status).toBe(200);
    await stage.stop();
    expect(readsIn(reports)).toBe(401);
    for (const report of reports) expect(JSON.stringify(report).length).toBeLessThan(256 * 1024);
  });

  it('say which version is served as soon as it is, and count each read once', async () => {
    publish(stage.source, FIVE);
    const reports = collect(() => 204);
    await broker({ pace: { ...QUICK, reportMs: 3_600_000 } }).start();
    await until(
      () => reports,
      (all) => all.some(({ version }) => version === 5),
    );
    expect(reports.at(-1)).toMatchObject({ relay: 'relay-1', digest: FIVE.digest, served_ms: NOW_MS });
    publish(stage.source, SIX);
    await until(
      () => reports,
      (all) => all.some(({ version }) => version === 6),
    );
    for (let turn = 0; turn < 7; turn += 1) await readAt(stage.relay, 'colour');
    // The last ones are sent when the relay ends.
    await stage.stop();
    expect(readsIn(reports)).toBe(7);
    expect(reports.flatMap(({ reads }) => reads)).toContainEqual({
      environment: 'production',
      workload: 'workload:good',
      flag: 'colour',
      variant: 'now',
      count: 7,
      first_ms: NOW_MS,
      last_ms: NOW_MS,
    });
  });

  it('are sent again, as they were, until they are accepted', async () => {
    publish(stage.source, FIVE);
    let isDown = true;
    const reports = collect(() => (isDown ? 503 : 204));
    await broker({ pace: QUICK }).start();
    await until(production, ({ version }) => version === 5);
    for (let turn = 0; turn < 3; turn += 1) await readAt(stage.relay, 'colour');
    await until(
      () => reports,
      (all) => all.filter(({ id }) => id === all[0]?.id).length >= 3,
    );
    expect(codes()).toContain('source_busy');
    expect(new Set(reports.map((report) => JSON.stringify(report))).size).toBe(1);
    isDown = false;
    await until(
      () => readsIn(reports),
      (count) => count === 3,
    );
    expect(codes()).not.toContain('source_busy');
  });

  it('that the broker does not understand are dropped, and said', async () => {
    publish(stage.source, FIVE);
    let isOld = true;
    const reports = collect(() => (isOld ? 400 : 204));
    await broker({ pace: QUICK }).start();
    await until(codes, (present) => present.includes('report_refused'));
    isOld = false;
    await until(codes, (present) => present.length === 0 || !present.includes('report_refused'));
    expect(new Set(reports.map(({ id }) => id)).size).toBeGreaterThan(1);
  });
});
