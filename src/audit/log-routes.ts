import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { BrokerError } from '../errors.ts';
import { GOVERNED_READ, PUBLIC } from '../http/route.ts';
import type { Checkpoints } from '../log/checkpoints.ts';
import { proveConsistency, proveInclusion, readTile } from '../log/tree-reads.ts';
import { WITNESS_FAULTS, type Witnesses } from '../log/witnesses.ts';
import { epochMs } from '../moment.ts';
import { findPlaceOf } from '../store/records.ts';
import { LogFault } from '../tree/fault.ts';
import { parseTilePath, type Tile } from '../tree/tiles.ts';
import { unknownName } from '../unknown-name.ts';

/*
 * The log as evidence for strangers: checkpoints, tiles and bundles of leaves (C2SP tlog-tiles), and proofs. Checkpoints
 * are public. Everything else needs `log.read`, because leaves name namespaces that not everybody may see.
 */

/** The dependencies of {@link logRoutes}. */
export interface LogRoutesDeps {
  control: ControlDeps;
  checkpoints: Checkpoints;
  witnesses: Witnesses;
}

const { route } = routesFor<LogRoutesDeps>({ tag: 'Audit', format: 'problem', since: '2.0' });

const TEXT = 'text/plain; charset=utf-8';
const BYTES = 'application/octet-stream';
/** A tile never changes, but not everybody may see it. */
const IMMUTABLE = { 'Cache-Control': 'private, max-age=31536000, immutable' } as const;
const BRIEFLY = { 'Cache-Control': 'public, max-age=1' } as const;

const hash = z.string().meta({ description: 'A SHA-256 hash, base64.' });
const size = z.int().min(1);

const inclusionSchema = z
  .object({
    place: z.int().min(1).meta({ description: 'The place of the record, from 1.' }),
    index: z.int().min(0).meta({ description: 'The index of its leaf, from 0.' }),
    leaf: z.string().meta({ description: 'The leaf: the exact text that is hashed.' }),
    proof: z.array(hash).meta({ description: 'The hashes beside the way to the root, lowest first.' }),
    checkpoint: z.string().meta({ description: 'The signed checkpoint that it is proved for.' }),
  })
  .meta({ id: 'InclusionProof' });
export type InclusionView = z.infer<typeof inclusionSchema>;

const consistencySchema = z
  .object({
    from: size,
    to: size,
    from_root: hash,
    to_root: hash,
    proof: z.array(hash),
  })
  .meta({ id: 'ConsistencyProof' });

/** The public part of a log's key, and the name of the log. */
const logSchema = z
  .object({
    origin: z.string().meta({ description: 'The name of the log.' }),
    key: z.string().meta({ description: 'The key that verifies checkpoints (C2SP signed-note).' }),
    former_keys: z.array(z.string()).meta({
      description: 'The keys before it that still sign, too, the newest first; empty but after a rotation.',
    }),
    size: z.int().min(0).meta({ description: 'The number of leaves of the latest checkpoint.' }),
    root: hash,
    cosigned: z
      .object({
        quorum: z.int().min(1).meta({ description: 'How many witnesses must agree.' }),
        size: z.int().min(0).nullable().meta({ description: 'The size that they agree on; null if none.' }),
        at_ms: epochMs.nullable().meta({ description: 'When the last of them cosigned it.' }),
        checkpoint: z.string().nullable().meta({ description: 'The checkpoint with their cosignatures.' }),
        witnesses: z.array(
          z.object({
            name: z.string(),
            size: z.int().min(0).nullable().meta({ description: 'The size that it has cosigned last.' }),
            at_ms: epochMs.nullable(),
            fault: z
              .string()
              .nullable()
              .meta({
                description: `Why it has not cosigned what it was sent last. ${Object.entries(WITNESS_FAULTS)
                  .map(([fault, meaning]) => `\`${fault}\`: ${meaning}.`)
                  .join(' ')}`,
              }),
            fault_status: z.int().min(100).max(599).nullable().meta({
              description: 'The HTTP status of its answer with that fault; null if there was none.',
            }),
          }),
        ),
      })
      .optional()
      .meta({ description: 'What the witnesses have cosigned. Absent if none is configured.' }),
  })
  .meta({ id: 'Log' });
export type LogView = z.infer<typeof logSchema>;

/** Checkpoints, tiles and proofs. */
export const logRoutes = [
  route({
    name: 'getCheckpoint',
    operation: null,
    method: 'GET',
    path: '/log/checkpoint',
    summary: 'the latest signed checkpoint of the log (C2SP tlog-checkpoint)',
    caller: null,
    outcomes: PUBLIC,
    errors: ['restored_copy', 'log_altered'],
    success: 200,
    answer: z.string(),
    answerType: 'text/plain',
    handle: async ({ checkpoints, witnesses }) => {
      const checkpoint = await checkpoints.latest();
      const body = `${checkpoint.note}${await witnesses.linesFor(checkpoint)}`;
      return { body, headers: { ...BRIEFLY, 'Content-Type': TEXT } };
    },
  }),
  route({
    name: 'getTile',
    operation: 'log.read',
    method: 'GET',
    path: '/log/tile/{level}/{tile}',
    spans: 'tile',
    summary: 'a tile of the tree, or with `entries` as level a bundle of leaves (C2SP tlog-tiles)',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params: z.object({
      level: z.string().max(10).meta({ description: 'The level of the tile, or `entries`.' }),
      tile: z.string().max(100).meta({
        description:
          'The index in groups of three digits, such as `x001/234`, with `.p/<width>` if it is partial.',
      }),
    }),
    success: 200,
    answer: z.custom<Buffer>().meta({ override: { type: 'string', format: 'binary' }, id: 'Tile' }),
    answerType: BYTES,
    handle: async ({ control }, { call, request: { target } }) => {
      await authorizeRead(control, call, { operation: 'log.read' });
      // As it was sent: an encoded path would be another name of the same tile.
      const body = await readTile(control.store.read, tileOf(target.replace(/^\/log\/|\?.*$/g, '')));
      if (body === null) throw new BrokerError('not_found', 'The log has no such tile yet.');
      return { body, headers: { ...IMMUTABLE, 'Content-Type': BYTES } };
    },
  }),
  route({
    name: 'getLog',
    operation: null,
    method: 'GET',
    path: '/v1/log',
    summary: 'the name of the log, and the key that verifies its checkpoints',
    caller: null,
    outcomes: PUBLIC,
    errors: ['restored_copy', 'log_altered'],
    success: 200,
    answer: logSchema,
    handle: async ({ checkpoints, witnesses }) => {
      const { origin, size: leaves, root } = await checkpoints.latest();
      const views = await witnesses.views();
      const cosigned = views.length === 0 ? null : await witnesses.cosigned();
      const [key, ...former_keys] = await checkpoints.keys();
      return {
        body: {
          ...{ origin, key, former_keys, size: leaves, root: root.toString('base64') },
          ...(views.length === 0 ? {} : { cosigned: cosignedView(witnesses.quorum, cosigned, views) }),
        },
        headers: BRIEFLY,
      };
    },
  }),
  route({
    name: 'proveInclusion',
    operation: 'log.read',
    method: 'GET',
    path: '/v1/log/proofs/inclusion/{record}',
    summary: 'prove that a record is in the log: its leaf, the hashes to the root, and a checkpoint',
    caller: 'any',
    outcomes: GOVERNED_READ,
    errors: ['restored_copy', 'log_altered'],
    params: z.object({
      record: z.string().max(100).meta({ description: 'The id of a decision, or the place of its record.' }),
    }),
    success: 200,
    answer: inclusionSchema,
    handle: async ({ control, checkpoints }, { call, params: { record } }) => {
      await authorizeRead(control, call, { operation: 'log.read' });
      const place = await findPlaceOf(control.store.read, record);
      if (place === undefined)
        throw unknownName({
          what: 'record',
          name: record,
          more: 'If its details were erased, it is found by its place only.',
        });
      const checkpoint = await checkpoints.covering(place);
      const { leaf, proof } = await proveInclusion(control.store.read, { place, size: checkpoint.size });
      return { body: { place, index: place - 1, leaf, proof: proof.map(text), checkpoint: checkpoint.note } };
    },
  }),
  route({
    name: 'proveConsistency',
    operation: 'log.read',
    method: 'GET',
    path: '/v1/log/proofs/consistency',
    summary: 'prove that the log only grew between two sizes',
    caller: 'any',
    outcomes: GOVERNED_READ,
    errors: ['restored_copy', 'log_altered'],
    query: z.strictObject({
      from: size.meta({ description: 'The smaller number of leaves.' }),
      to: size.optional().meta({ description: 'The larger one. Default: that of the latest checkpoint.' }),
    }),
    success: 200,
    answer: consistencySchema,
    handle: async ({ control, checkpoints }, { call, query: { from, to } }) => {
      await authorizeRead(control, call, { operation: 'log.read' });
      const latest = await checkpoints.latest();
      const until = to ?? latest.size;
      if (from > until || until > latest.size)
        throw new BrokerError(
          'invalid_request',
          `from must be at most to, and to at most ${latest.size}, the number of leaves of the latest checkpoint.`,
        );
      const { from_root, to_root, proof } = await proveConsistency(control.store.read, { from, to: until });
      const roots = { from_root: text(from_root), to_root: text(to_root) };
      return { body: { from, to: until, ...roots, proof: proof.map(text) } };
    },
  }),
];

function cosignedView(
  quorum: number,
  cosigned: Awaited<ReturnType<Witnesses['cosigned']>>,
  witnesses: Awaited<ReturnType<Witnesses['views']>>,
): NonNullable<LogView['cosigned']> {
  const { size = null, at_ms = null, note = null } = cosigned ?? {};
  return { quorum, size, at_ms, checkpoint: note, witnesses };
}

function text(bytes: Buffer): string {
  return bytes.toString('base64');
}

/** @throws BrokerError `not_found` */
function tileOf(path: string): Tile {
  try {
    return parseTilePath(path);
  } catch (error) {
    if (error instanceof LogFault) throw new BrokerError('not_found', `Not found: ${error.message}`);
    throw error;
  }
}
