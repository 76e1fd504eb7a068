import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Evaluated } from '../data/answers.ts';
import type { AuthenticateReader, DataReader } from '../data/credentials.ts';
import { createFlagdListener } from '../data/flagd.ts';
import type { FlagdDocuments } from '../data/flagd-documents.ts';
import { createOfrepListener } from '../data/ofrep.ts';
import type { OfrepStreams } from '../data/ofrep-stream.ts';
import type { Snapshots } from '../data/snapshot.ts';
import { BrokerError } from '../errors.ts';
import { createAdmission } from '../http/admission.ts';
import { type Answer, sendText } from '../http/answer.ts';
import { problemWriter } from '../http/problem.ts';
import { type CountAttempt, isWithoutIdentity } from '../http/rate-limit.ts';
import type { RelayMetrics } from '../http/relay-metrics.ts';
import type { Logger } from '../logger.ts';
import type { RelayStatus } from './status.ts';

/** What {@link createRelayListener} needs. */
export interface ListenerDeps {
  snapshots: Pick<Snapshots, 'current'>;
  authenticate: AuthenticateReader;
  countAttempt: CountAttempt;
  evaluated: (reader: DataReader, what: Evaluated | readonly Evaluated[], nowMs: number) => void;
  documents: FlagdDocuments;
  /** Absent: changes are not told. */
  streams?: OfrepStreams;
  /** All definitions were read. */
  read: (reader: DataReader, nowMs: number) => void;
  status: () => RelayStatus;
  metrics: RelayMetrics;
  /** At which URL the relay listens, and other hosts that it serves. */
  url: string;
  hosts: readonly string[];
  clock: () => number;
  log: Logger;
}

/** The HTTP surface of a relay: evaluations and documents as a broker serves them, and what operators look at. */
export function createRelayListener(deps: ListenerDeps): RequestListener {
  const { snapshots, countAttempt, clock, log, metrics, evaluated } = deps;
  const admit = createAdmission({ publicUrl: deps.url, hosts: deps.hosts });
  const problemOf = problemWriter(log);
  const authenticate = whenHydrated(deps);
  const data = { snapshots, authenticate, countAttempt, clock, log };
  const answerOfrep = createOfrepListener({
    ...data,
    ...(deps.streams && { streams: deps.streams }),
    metrics,
    evaluated,
  });
  const { documents, read } = deps;
  const answerFlagd = createFlagdListener({ ...data, documents, problemOf, read });

  async function answerOperating(req: IncomingMessage, id: string): Promise<Answer> {
    try {
      return await operatingAnswer(req, deps);
    } catch (error) {
      return problemOf(error, id);
    }
  }

  return (req, res) => {
    const refusal = admit(req);
    if (refusal !== null) {
      metrics.turnedAway(refusal.code);
      // What follows on this connection may be the rest of this message.
      if (refusal.code === 'ambiguous_request') res.setHeader('Connection', 'close');
    }
    if (answerOfrep(req, res, refusal)) return;
    const id = randomUUID();
    setHeaders(res, id);
    if (refusal !== null) sendText(res, problemOf(refusal, id));
    else if (!answerFlagd(req, res, { id, route: null })) {
      answerOperating(req, id)
        .then((answer) => sendText(res, answer))
        .catch((error: Error) => res.destroy(error));
    }
  };
}

function setHeaders(res: ServerResponse, id: string): void {
  res.setHeader('X-Request-Id', id);
  res.setHeader('X-Content-Type-Options', 'nosniff');
  res.setHeader('Cache-Control', 'no-store');
}

/**
 * Until each environment is served, nobody is told that an identity or a flag is not known: clients take that for final.
 *
 * @throws BrokerError `flags_not_loaded` in place of such a refusal
 */
function whenHydrated({ authenticate, status, metrics }: ListenerDeps): AuthenticateReader {
  const refused = (error: unknown): never => {
    if (error instanceof BrokerError) {
      if (isWithoutIdentity(error) && status().state === 'waiting') throw notLoaded();
      metrics.turnedAway(error.code);
    }
    throw error;
  };
  return (credentials) => {
    try {
      const reader = authenticate(credentials);
      return reader instanceof Promise ? reader.catch(refused) : reader;
    } catch (error) {
      return refused(error);
    }
  };
}

function notLoaded(): BrokerError {
  return new BrokerError('flags_not_loaded', 'The flags are not loaded yet. Try again.', {
    headers: { 'Retry-After': '1' },
  });
}

const JSON_TYPE = 'application/json';

/** @throws BrokerError `not_found`, `method_not_allowed` */
async function operatingAnswer(
  { method, url = '' }: IncomingMessage,
  { status, metrics }: ListenerDeps,
): Promise<Answer> {
  const [path = ''] = url.split('?', 1);
  const answer = OPERATING[path];
  if (answer === undefined)
    throw new BrokerError(
      'not_found',
      `A relay has no ${path}. It serves /ofrep/v1/*, /flagd/v1/*, /status, /healthz, /readyz and /metrics.`,
    );
  if (method !== 'GET' && method !== 'HEAD')
    throw new BrokerError('method_not_allowed', 'Use GET for this path.', {
      headers: { Allow: 'GET, HEAD' },
    });
  return answer(status(), metrics);
}

const OPERATING: Readonly<
  Record<string, (status: RelayStatus, metrics: RelayMetrics) => Answer | Promise<Answer>>
> = {
  '/status': (status) => jsonAnswer(200, status),
  '/healthz': () => jsonAnswer(200, { status: 'ok' }),
  '/readyz': ({ state, environments }) => {
    const checks = Object.fromEntries(
      Object.entries(environments).map(([name, each]) => [name, each.state === 'waiting' ? 'failing' : 'ok']),
    );
    return state === 'ready'
      ? jsonAnswer(200, { status: 'ready', checks })
      : jsonAnswer(503, { status: 'not_ready', checks }, { 'Retry-After': '1' });
  },
  '/metrics': async (_, metrics) => ({
    status: 200,
    headers: {},
    type: metrics.contentType.replace(/; charset=utf-8$/, ''),
    body: await metrics.text(),
  }),
};

function jsonAnswer(status: number, body: object, headers: Record<string, string> = {}): Answer {
  return { status, headers, type: JSON_TYPE, body: JSON.stringify(body) };
}
