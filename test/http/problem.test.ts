import express, { type RequestHandler } from 'express';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { answeringErrors } from '../../src/decide/express-routes.ts';
import { BrokerError } from '../../src/errors.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { problemWriter } from '../../src/http/problem.ts';
import { requestContext } from '../../src/http/request-context.ts';
import { createLog } from '../../src/logger.ts';

/** Gives each request its id before Express has it. */
function identified(deps: Parameters<typeof requestContext>[0]): RequestHandler {
  const begin = requestContext(deps);
  return (req, res, next) => {
    req.id = begin(req, res).id;
    next();
  };
}

/** The edge of the broker around a route that throws. */
function appThatThrows(thrown: unknown, resourceMetadata?: string) {
  const lines: string[] = [];
  const log = createLog('info', { write: (line: string) => lines.push(line) });
  const metrics = createMetrics({
    openRequests: async () => [],
    activeFreezes: () => 0,
    unknownOperations: () => 0,
    calls: () => [],
    logIsIntact: () => true,
    evaluations: () => ({ waiting: 0, shortened: 0 }),
    streams: () => [],
    snapshots: { published: async () => [], relays: async () => [], receipts: async () => [] },
    wal: () => ({ bytes: 0, blocked_ms: 0, checkpoints: {} }),
    writesRefused: async () => null,
    logSize: async () => 0,
  });
  const app = express();
  app.use(identified({ log, metrics }));
  app.get('/', () => {
    throw thrown;
  });
  app.use(answeringErrors(problemWriter(log, resourceMetadata)));
  return { app, lines };
}

describe('a fault', () => {
  it.each([
    new Error('password=hunter2 at /srv/app'),
    Object.assign(new Error('hunter2'), { status: 418, type: 'made.up' }),
    'hunter2',
    { message: 'hunter2' },
  ])('is an internal_error that says nothing of its cause: %s', async (thrown) => {
    const { app, lines } = appThatThrows(thrown);
    const { status, body, headers } = await request(app).get('/');
    expect(status).toBe(500);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(body).toMatchObject({ code: 'internal_error', instance: `urn:uuid:${headers['x-request-id']}` });
    expect(JSON.stringify(body)).not.toMatch(/hunter2|srv|\bat\b .*:\d/);
    expect(
      lines.some((line) => line.includes('request failed') && line.includes(String(headers['x-request-id']))),
    ).toBe(true);
  });

  it('that is a refusal is answered with all it carries, and its cause stays in the process', async () => {
    const thrown = new BrokerError(
      'state_conflict',
      'not now',
      { extra: { session: 's' }, headers: { 'Retry-After': '7' }, decision_id: 'd' },
      new Error('hunter2'),
    );
    const { status, body, headers } = await request(appThatThrows(thrown).app).get('/');
    expect(status).toBe(409);
    expect(headers['retry-after']).toBe('7');
    expect(body).toEqual({
      type: 'https://countersign.dev/problems/state_conflict',
      title: expect.any(String),
      status: 409,
      code: 'state_conflict',
      detail: 'not now',
      instance: expect.stringMatching(/^urn:uuid:/),
      session: 's',
      decision_id: 'd',
    });
  });
});

describe('the log of an answer', () => {
  it.each([
    ['/flags/eyJhbGciOiJub25lIn0.e30.AAAA', '/flags/{key}'],
    ['/flags/%', null],
    ['/eyJhbGciOiJub25lIn0.e30.AAAA?x=y', null],
  ])('of %s names the route, and nothing that the caller wrote', async (path, route) => {
    const lines: string[] = [];
    const app = express();
    const metrics = createMetrics({
      openRequests: async () => [],
      activeFreezes: () => 0,
      unknownOperations: () => 0,
      calls: () => [],
      wal: () => ({ bytes: 0, blocked_ms: 0, checkpoints: {} }),
      writesRefused: async () => null,
      logSize: async () => 0,
      logIsIntact: () => true,
      evaluations: () => ({ waiting: 0, shortened: 0 }),
      streams: () => [],
      snapshots: { published: async () => [], relays: async () => [], receipts: async () => [] },
    });
    const log = createLog('trace', { write: (line: string) => lines.push(line) });
    app.use(identified({ log, metrics }));
    app.get('/flags/:key', (_req, res) => {
      res.sendStatus(204);
    });
    app.use(answeringErrors(problemWriter(log)));
    const { headers } = await request(app).get(path);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { request_id: headers['x-request-id'], method: 'GET', route },
    ]);
    expect(lines.join('')).not.toMatch(/eyJ|%|x=y/);
  });
});

describe('a refused token', () => {
  it('is reported by its id only, under which the log has the reason', async () => {
    const refusal = new BrokerError(
      'token_invalid',
      'The token was not accepted.',
      {},
      new Error('expired: exp'),
    );
    const { app, lines } = appThatThrows(refusal);
    const { body, headers } = await request(app).get('/');
    expect(JSON.stringify(body)).not.toContain('expired');
    const logged = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'request refused');
    expect(logged).toMatchObject({ reason: 'expired: exp', request_id: headers['x-request-id'] });
  });

  it.each([
    [undefined, 'Bearer resource_metadata="https://x.example/m"'],
    ['Bearer error="invalid_token"', 'Bearer error="invalid_token", resource_metadata="https://x.example/m"'],
    ['DPoP error="e", algs="a b"', 'DPoP error="e", algs="a b", resource_metadata="https://x.example/m"'],
  ])('with the challenge %s says where to read more', async (challenge, expected) => {
    const headers = challenge === undefined ? {} : { 'WWW-Authenticate': challenge };
    const refusal = new BrokerError('token_invalid', 'no', { headers });
    const answer = await request(appThatThrows(refusal, 'https://x.example/m').app).get('/');
    expect(answer.headers['www-authenticate']).toBe(expected);
    const without = await request(appThatThrows(refusal).app).get('/');
    expect(without.headers['www-authenticate']).toBe(challenge ?? 'Bearer');
  });
});
