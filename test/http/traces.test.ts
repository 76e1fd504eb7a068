import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { context, type ProxyTracerProvider, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import type { TracerProvider } from '@opentelemetry/sdk-trace';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../src/logger.ts';
import { activeTraceId, traceStep } from '../../src/tracing.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createFlag, TICKET } from '../support/flags.ts';
import { readDetails, readLeaves } from '../support/sqlite/log.ts';

/* Traces, as a collector gets them: without an SDK, and with the one that docs/examples/monitoring/tracing.mjs loads. */

/** A span as OTLP has it in JSON. */
interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: { key: string; value: Record<string, unknown> }[];
  status: { code?: number };
}

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const traceparent = `00-${TRACE}-${PARENT}-01`;

/** What is no `traceparent`, or one that must not be believed. */
const HOSTILE = [
  '',
  'x',
  `00-${'0'.repeat(32)}-${PARENT}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${PARENT}-01`,
  `00-${TRACE}-${PARENT}`,
  `00-${TRACE}-${PARENT}-01-more`,
  `00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`,
  `ff-${TRACE}-${PARENT}-01`,
  `00-${TRACE.slice(2)}<>-${PARENT}-01`,
  `00-eyJhbGciOiJFUzI1NiJ9eyJzdWIiOiJk-${PARENT}-01`,
  `00-${'a'.repeat(8000)}-${PARENT}-01`,
];

let t: TestBroker;
let collector: Server;
const spans: Span[] = [];
const lines: string[] = [];

beforeAll(async () => {
  collector = createServer(async (req, res) => {
    const sent = JSON.parse(await text(req)) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    spans.push(...sent.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
    res.setHeader('Content-Type', 'application/json').end('{}');
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  t = await startTestBroker({ log: createLog('info', { write: (line: string) => lines.push(line) }) });
  await createFlag(t, 'traced.flag');
});

afterAll(async () => {
  trace.disable();
  context.disable();
  await t.close();
  collector.closeAllConnections();
  collector.close();
});

const answeredLines = () =>
  lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ msg }) => msg === 'answered');
const lastRecord = () => JSON.parse(readDetails(t.file).at(-1)?.details ?? '') as { correlation: object };
const change = (headers: Record<string, string>) =>
  t.call(
    'dana',
    'POST',
    '/v1/requests',
    {
      environment: 'production',
      changes: [{ action: 'enable', flag: 'traced.flag' }],
      reason: 'a test',
      ticket: TICKET,
      apply: 'manual',
    },
    headers,
  );

describe('without an SDK', () => {
  it('the trace of the caller is in the record and in the line of the log, and not in the leaf', async () => {
    const { status, body } = await change({ traceparent });
    expect([status, body.state]).toEqual([201, 'pending']);
    expect(lastRecord().correlation).toMatchObject({ trace_id: TRACE });
    expect(answeredLines().at(-1)).toMatchObject({ trace_id: TRACE, route: '/v1/requests' });
    expect(readLeaves(t.file).at(-1)?.leaf).not.toContain(TRACE);
    const { body: shown } = await t.call('avery', 'GET', `/v1/decisions/${body.decision_id}`);
    expect(shown.correlation).toMatchObject({ trace_id: TRACE });
    // A later version of the header may append what this one does not know.
    await change({ traceparent: `01-${TRACE}-${PARENT}-01-more` });
    expect(lastRecord().correlation).toMatchObject({ trace_id: TRACE });
  });

  it('what is no trace is neither recorded nor logged', async () => {
    for (const hostile of HOSTILE) {
      await change({ traceparent: hostile });
      expect(lastRecord().correlation, hostile).not.toHaveProperty('trace_id');
      expect(answeredLines().at(-1), hostile).not.toHaveProperty('trace_id');
    }
    expect(lines.join('')).not.toMatch(/eyJ|aaaaaaaa|<>/);
  });
});

describe('with the SDK of the example', () => {
  beforeAll(async () => {
    const { port } = collector.address() as AddressInfo;
    process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${port}`;
    process.env.OTEL_TRACES_SAMPLER_ARG = '1';
    await import('../../docs/examples/monitoring/tracing.mjs' as string);
  });

  /** What the collector has, now. */
  async function collected(): Promise<Span[]> {
    const provider = (trace.getTracerProvider() as ProxyTracerProvider).getDelegate();
    await (provider as TracerProvider).forceFlush();
    return spans;
  }

  /** The spans of a trace, once its call has ended. */
  async function spansOf(traceId: string, route: string): Promise<Span[]> {
    const found = async () => (await collected()).filter((span) => span.traceId === traceId);
    await expect
      .poll(async () => (await found()).map(({ name }) => name), { timeout: 20_000 })
      .toContain(route);
    return found();
  }

  it('a write is a call with its wait, its decisions and its commit, under the trace of its caller', async () => {
    const traceId = TRACE.replace('4', '5');
    await change({ traceparent: `00-${traceId}-${PARENT}-01`, tracestate: 'vendor=1' });
    expect(lastRecord().correlation).toMatchObject({ trace_id: traceId });
    const found = await spansOf(traceId, 'POST /v1/requests');
    const call = found.find(({ name }) => name === 'POST /v1/requests');
    expect(call).toMatchObject({ parentSpanId: PARENT, kind: 2 });
    const inCall = found.filter(({ parentSpanId }) => parentSpanId === call?.spanId);
    expect(inCall.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['countersign.wait', 'countersign.write', 'countersign.commit']),
    );
    const writes = inCall.filter(({ name }) => name === 'countersign.write').map(({ spanId }) => spanId);
    const decisions = found.filter(({ name }) => name === 'countersign.decide');
    expect(decisions.length).toBeGreaterThan(0);
    for (const { parentSpanId } of decisions) expect(writes).toContain(parentSpanId);
  });

  it('calls that wait for each other have each their own spans', async () => {
    const ids = Array.from(
      { length: 20 },
      (_, place) => `${String(place).padStart(2, '0')}${TRACE.slice(2)}`,
    );
    await Promise.all(ids.map((id) => change({ traceparent: `00-${id}-${PARENT}-01` })));
    for (const id of ids) {
      const found = await spansOf(id, 'POST /v1/requests');
      const count = (name: string) => found.filter((span) => span.name === name).length;
      expect([count('POST /v1/requests'), count('countersign.commit')]).toEqual([1, 1]);
    }
    const traced = readDetails(t.file).map(({ details }) => JSON.parse(details).correlation.trace_id);
    for (const id of ids) expect(traced).toContain(id);
  });

  it('what is done for a call that nobody traces is in no trace, whoever woke the writer for their batch', async () => {
    const span = trace.getTracer('test').startSpan('POST /v1/traced');
    const { traceId } = span.spanContext();
    const noted: [string, string | undefined][] = [];
    const note = (name: string) => noted.push([name, activeTraceId()]);
    const write = (name: string) =>
      t.broker.store.writer.write(async (_, afterCommit) => {
        traceStep(
          `test.${name}`,
          () => note(name),
          () => ({}),
        );
        afterCommit(() => note(`after ${name}`));
      });
    const traced = () => context.with(trace.setSpan(ROOT_CONTEXT, span), () => write('traced'));
    const untraced = () => context.with(ROOT_CONTEXT, () => write('untraced'));
    await Promise.all([traced(), untraced(), traced()]);
    await Promise.all([untraced(), traced(), untraced()]);
    span.end();
    expect(noted).toHaveLength(12);
    for (const [name, of] of noted)
      expect([name, of]).toEqual([name, /untraced/.test(name) ? undefined : traceId]);
    const names = (await spansOf(traceId, 'POST /v1/traced')).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('test.'))).toEqual(Array(3).fill('test.traced'));
    expect(names.filter((name) => name === 'countersign.commit')).toHaveLength(3);
    expect(spans.filter(({ name }) => name === 'test.untraced')).toEqual([]);
  });

  it('a call without a trace begins one, also an evaluation', async () => {
    const reader = await t.workloadToken('checkout', { audience: 'data:production' });
    const at = answeredLines().length;
    await t.call('dana', 'GET', '/v1/flags/traced.flag');
    const [line] = answeredLines().slice(at);
    const name = 'GET /v1/flags/{key}';
    const found = await spansOf(String(line?.trace_id), name);
    const read = found.find((span) => span.name === name);
    expect(read?.parentSpanId ?? '').toBe('');
    const { status } = await t.call(reader, 'POST', '/ofrep/v1/evaluate/flags/traced.flag', {});
    expect(status).toBe(200);
    await expect
      .poll(async () => (await collected()).map(({ name }) => name), { timeout: 20_000 })
      .toContain('POST /ofrep/v1/evaluate/flags/{key}');
  });

  it('no span names a person, a flag, or what was sent', async () => {
    expect(spans.length).toBeGreaterThan(50);
    const keys = new Set(spans.flatMap(({ attributes }) => attributes.map(({ key }) => key)));
    expect([...keys].toSorted()).toEqual([
      'countersign.effect',
      'countersign.operation',
      'countersign.policy_hash',
      'http.request.method',
      'http.response.status_code',
      'http.route',
    ]);
    expect(JSON.stringify(spans)).not.toMatch(/dana|traced\.flag|PAY-17|a test/);
  });
});
