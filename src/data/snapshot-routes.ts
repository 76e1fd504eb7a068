import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { BrokerError } from '../errors.ts';
import { isNoneMatch } from '../http/none-match.ts';
import { anyQuery, GOVERNED_READ, GOVERNED_WRITE, noContent, type RouteShape } from '../http/route.ts';
import { sha256Hex } from '../json.ts';
import type { Published } from '../publication/published.ts';
import type { PublishedReaders } from '../publication/readers.ts';
import { reportSchema, takeReport } from '../publication/relays.ts';
import { parseBodyFile } from '../snapshot/body.ts';
import { LATEST_FILE } from '../snapshot/latest.ts';
import { READERS_FILE } from '../snapshot/readers.ts';
import type { DataReader } from './credentials.ts';

/*
 * Published snapshots, in the layout of a place of plain files, so that whoever reads one reads the other.
 */

/** The dependencies of {@link snapshotRoutes}. */
export interface SnapshotRoutesDeps {
  published: Published;
  readers: PublishedReaders;
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

const readersSchema = z
  .object({
    readers: z.array(z.string()).meta({
      description:
        'The same list as a compact JWS (EdDSA) of each key of the log that signs: the keys of the broker tokens, the trust rules that read the environment with the keys of their issuers, and hashes of what is revoked.',
    }),
  })
  .meta({ id: 'SnapshotReaders' });

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
      assertReadsSnapshots(reader, environment);
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
    name: 'getSnapshotReaders',
    path: `/snapshots/{environment}/${READERS_FILE}`,
    summary: 'the signed list of who may read the flags of an environment at a relay',
    errors: ['restored_copy', 'log_altered', 'all_namespaces_required'],
    params: z.object({ environment: environmentParam }),
    answer: readersSchema,
    handle: async ({ readers, isPublished }, { reader, params: { environment }, ifNoneMatch }) => {
      assertReadsSnapshots(reader, environment);
      if (!isPublished(environment)) throw notPublished(environment);
      const text = await readers.readers(environment);
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
      assertReadsSnapshots(reader, environment);
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

/** The dependencies of {@link reportRoutes}. */
export interface ReportRoutesDeps {
  control: ControlDeps;
  /** Whether this broker records who evaluated what; otherwise what relays have read is not kept either. */
  keepsReads: boolean;
  /** Counts a report that was taken. */
  reported: () => void;
}

const { route: writing } = routesFor<ReportRoutesDeps>({
  tag: 'Evaluation',
  format: 'problem',
  since: '3.0',
});

/** The reports of relays. */
export const reportRoutes = [
  writing({
    name: 'reportReads',
    operation: null,
    method: 'POST',
    path: '/snapshots/{environment}/reports',
    summary: 'report which version a relay serves, and what was read there since its last report',
    caller: 'data',
    // Policy is not asked: whoever may have every flag may say what became of them.
    outcomes: { ...GOVERNED_WRITE, denied: 'allowed' },
    errors: ['all_namespaces_required', 'rate_limited'],
    params: z.object({ environment: environmentParam }),
    body: reportSchema,
    success: 204,
    answer: noContent,
    handle: async ({ control, keepsReads, reported }, { reader, params: { environment }, body }) => {
      const { principal } = assertReadsSnapshots(reader, environment);
      await takeReport(control, { environment, reporter: principal.id, keepsReads }, body);
      reported();
      return { body: undefined };
    },
  }),
];

/** The stream of an environment. `snapshot-events.ts` serves it. */
export const streamSnapshots = {
  name: 'streamSnapshots',
  operation: null,
  method: 'GET',
  path: '/snapshots/{environment}/events',
  tag: 'Evaluation',
  summary: `a stream of the texts of \`${LATEST_FILE}\` and \`${READERS_FILE}\`, now and at each change, until the token ends`,
  format: 'problem',
  caller: 'data',
  outcomes: shared.outcomes,
  since: '3.0',
  // Whoever follows may name itself there.
  query: anyQuery,
  params: z.object({ environment: environmentParam }),
  success: 200,
  answerType: 'text/event-stream',
  answer: z.string(),
  errors: ['all_namespaces_required', 'overloaded', 'shutting_down', 'restored_copy', 'log_altered'],
} as const satisfies RouteShape;

/** The calls that are served as streams. */
export const snapshotStreamRoutes = [streamSnapshots] as const;

/**
 * A snapshot has the targeting rules of all namespaces, so only who may see all of them gets one. Another environment than
 * that of the token does not exist for its bearer.
 *
 * @throws BrokerError `not_found`, `all_namespaces_required`
 */
export function assertReadsSnapshots(reader: DataReader | null, asked: string): DataReader {
  if (reader === null) throw new Error('a route of the data plane has no reader');
  const { environment, namespaces } = reader;
  if (environment !== asked)
    throw new BrokerError('not_found', `The token reads ${environment}, and no other environment.`);
  if (!namespaces.includes('*'))
    throw new BrokerError(
      'all_namespaces_required',
      `A snapshot has the flags of every namespace, and the token reads ${namespaces.join(', ') || 'none'}.`,
    );
  return reader;
}

function notKept(environment: string): BrokerError {
  return new BrokerError(
    'not_found',
    `No snapshot of ${environment} has this name, or it is not kept any more. Read ${LATEST_FILE} again, which names the newest one.`,
  );
}

/** The refusal of an environment that is not published. */
export function notPublished(environment: string): BrokerError {
  return new BrokerError(
    'not_found',
    `Snapshots of ${environment} are not published. The operator names the environment in snapshots.environments of the configuration.`,
  );
}
