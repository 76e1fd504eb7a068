import { z } from 'zod';
import { routesFor } from '../decide/edge.ts';
import { BrokerError } from '../errors.ts';
import { isNoneMatch } from '../http/none-match.ts';
import { GOVERNED_READ, noContent } from '../http/route.ts';
import { sha256Hex } from '../json.ts';
import type { Published } from '../publication/published.ts';
import { parseBodyFile } from '../snapshot/body.ts';
import { LATEST_FILE } from '../snapshot/latest.ts';
import type { DataReader } from './credentials.ts';

/*
 * Published snapshots, in the layout of a place of plain files, so that whoever reads one reads the other.
 */

/** The dependencies of {@link snapshotRoutes}. */
export interface SnapshotRoutesDeps {
  published: Published;
  /** Whether snapshots of an environment are published at all. */
  isPublished: (environment: string) => boolean;
}

const { route } = routesFor<SnapshotRoutesDeps>({ tag: 'Evaluation', format: 'problem', since: '3.0' });

const environmentParam = z.string().max(200).meta({ description: 'The environment of the token.' });

const shared = {
  operation: null,
  method: 'GET',
  caller: 'data',
  // A session reads no flags.
  outcomes: { ...GOVERNED_READ, foreign_origin: 'refused', denied: 'allowed' },
  success: 200,
  also: { 304: noContent },
  ifNoneMatch: true,
} as const;

const latestSchema = z
  .object({
    pointers: z.array(z.string()).meta({
      description:
        'The same pointer as a compact JWS (EdDSA) of each key of the log that signs: environment, version and digest of the body, epoch and name of the log, the size of the log that it reflects, issue and expiry time, the digest before.',
    }),
    proof: z.string().meta({
      description:
        'That the log has the record which publishes it (C2SP tlog-proof), with a signed checkpoint.',
    }),
  })
  .meta({ id: 'LatestSnapshot' });

/** The pointer is replaced in place, and a body never is. */
const BRIEFLY = 'private, max-age=1';
const IMMUTABLE = 'private, max-age=31536000, immutable';

/** Pointers and bodies of snapshots. */
export const snapshotRoutes = [
  route({
    ...shared,
    name: 'getLatestSnapshot',
    path: `/snapshots/{environment}/${LATEST_FILE}`,
    summary: 'the signed pointer to the newest snapshot of an environment, with its proof in the log',
    errors: ['restored_copy', 'log_altered', 'snapshot_unavailable', 'all_namespaces_required'],
    params: z.object({ environment: environmentParam }),
    answer: latestSchema,
    handle: async ({ published, isPublished }, { reader, params: { environment }, ifNoneMatch }) => {
      assertReads(reader, environment);
      if (!isPublished(environment)) throw notPublished(environment);
      const text = await published.latest(environment);
      // Never 404 for what is only late: clients would treat that as final.
      if (text === null)
        throw new BrokerError(
          'snapshot_unavailable',
          `The present flags of ${environment} are not published yet.`,
          {
            headers: { 'Retry-After': '1' },
          },
        );
      const ETag = `"${sha256Hex(text)}"`;
      const headers = { ETag, 'Cache-Control': BRIEFLY };
      return isNoneMatch(ifNoneMatch, ETag)
        ? { status: 304, body: undefined, headers }
        : { body: text as never, headers };
    },
  }),
  route({
    ...shared,
    name: 'getSnapshot',
    path: '/snapshots/{environment}/{snapshot}',
    summary: 'the flags of an environment at one version, as its pointer names them',
    errors: ['all_namespaces_required'],
    params: z.object({
      environment: environmentParam,
      snapshot: z.string().max(200).meta({ description: '`<version>-<digest in hex>.json`' }),
    }),
    answer: z.looseObject({ environment: z.string(), version: z.int() }).meta({ id: 'Snapshot' }),
    handle: async ({ published }, { reader, params: { environment, snapshot }, ifNoneMatch }) => {
      assertReads(reader, environment);
      const name = parseBodyFile(snapshot);
      if (name === null) throw notKept(environment);
      const ETag = `"${name.digest.slice('sha256:'.length)}"`;
      const headers = { ETag, 'Cache-Control': IMMUTABLE };
      if (isNoneMatch(ifNoneMatch, ETag) && (await published.has({ environment, ...name })))
        return { status: 304, body: undefined, headers };
      const body = await published.body({ environment, ...name });
      if (body === null) throw notKept(environment);
      return { body: body as never, headers };
    },
  }),
];

/**
 * A snapshot has the targeting rules of all namespaces, so only who may see all of them gets one. Another environment than
 * that of the token does not exist for its bearer.
 *
 * @throws BrokerError `not_found`, `all_namespaces_required`
 */
function assertReads(reader: DataReader | null, asked: string): void {
  if (reader === null) throw new Error('a route of the data plane has no reader');
  const { environment, namespaces } = reader;
  if (environment !== asked)
    throw new BrokerError('not_found', `The token reads ${environment}, and no other environment.`);
  if (!namespaces.includes('*'))
    throw new BrokerError(
      'all_namespaces_required',
      `A snapshot has the flags of every namespace, and the token reads ${namespaces.join(', ') || 'none'}.`,
    );
}

function notKept(environment: string): BrokerError {
  return new BrokerError(
    'not_found',
    `No snapshot of ${environment} has this name, or it is not kept any more. Read ${LATEST_FILE} again, which names the newest one.`,
  );
}

function notPublished(environment: string): BrokerError {
  return new BrokerError(
    'not_found',
    `Snapshots of ${environment} are not published. The operator names the environment in snapshots.environments of the configuration.`,
  );
}
