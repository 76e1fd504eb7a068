import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import { type Answer, sendText } from '../http/answer.ts';
import { isNoneMatch } from '../http/none-match.ts';
import { type CountAttempt, countedRefusal } from '../http/rate-limit.ts';
import { type AuthenticateReader, credentialsOf, type DataReader } from './credentials.ts';
import { environmentInPath } from './environment-path.ts';
import { createFlagdDocuments, type FlagdDocuments } from './flagd-documents.ts';
import { syncFlagd } from './flagd-routes.ts';
import type { Snapshots } from './snapshot.ts';
import { viewOf } from './view.ts';

/*
 * The HTTP sync of flagd, on plain `node:http`: like evaluations, it needs neither policy engine nor log nor store. flagd asks
 * every few seconds and sends the tag of what it has, so the usual answer is 304.
 */

const environmentOf = environmentInPath(syncFlagd.path);

/** The dependencies of the listener. */
export interface FlagdDeps {
  snapshots: Pick<Snapshots, 'current'>;
  authenticate: AuthenticateReader;
  /** Counts a request without a valid identity. @throws BrokerError `rate_limited` */
  countAttempt?: CountAttempt;
  clock: Clock;
  /** Default: documents of its own. */
  documents?: FlagdDocuments;
  /** Counts a read of all definitions. It MUST NOT wait or throw. */
  read?: (reader: DataReader, nowMs: number) => void;
  /** Writes a refusal. */
  problemOf: (error: unknown, requestId: string) => Answer;
  log: { error(fields: object, message: string): void };
}

/** A request, as far as it is known before its route. */
interface Known {
  readonly id: string;
  route: string | null;
}

/**
 * Creates the listener. It returns true when it handles the request. False leaves request and response untouched for the
 * next listener.
 */
export function createFlagdListener(deps: FlagdDeps) {
  const { snapshots, authenticate, countAttempt, problemOf, log, clock, read } = deps;
  const { documents = createFlagdDocuments({ log }) } = deps;

  async function answer(req: IncomingMessage, environment: string): Promise<Answer> {
    const reader = await authenticate(credentialsOf(req));
    if (reader.environment !== environment) {
      throw new BrokerError(
        'not_found',
        'The token reads another environment. Get a token of the audience data:<environment> for the environment of the path.',
      );
    }
    const snapshot = snapshots.current(environment);
    const document = snapshot && (await documents.of(viewOf(snapshot, reader.namespaces)));
    if (document === undefined || document === null) {
      throw new BrokerError('flags_not_loaded', 'The flags are not loaded yet. Try again.', {
        headers: { 'Retry-After': '1' },
      });
    }
    const { tag, body } = document;
    // What is unchanged is in use, too.
    read?.(reader, clock());
    const headers = { ETag: tag, 'Cache-Control': 'private, no-cache' };
    return isNoneMatch(req.headers['if-none-match'], tag)
      ? { status: 304, headers, type: '', body: undefined }
      : { status: 200, headers, type: 'application/json', body };
  }

  async function refuse(req: IncomingMessage, error: unknown, id: string): Promise<Answer> {
    return problemOf(await countedRefusal(countAttempt, req, error), id);
  }

  return (req: IncomingMessage, res: ServerResponse, known: Known): boolean => {
    const environment = environmentOf(req);
    if (environment === null) return false;
    known.route = syncFlagd.path;
    answer(req, environment)
      .catch((error: unknown) => refuse(req, error, known.id))
      .then((sent) => sendText(res, sent))
      .catch((error: Error) => res.destroy(error));
    return true;
  };
}
