import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { pageOf, routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { GOVERNED_READ, GOVERNED_WRITE } from '../http/route.ts';
import { epochMs } from '../moment.ts';
import type { SigningKeysTable } from '../store/schema.ts';
import { listSigningKeys } from '../store/signing-keys.ts';
import type { LogKeys } from './log-key.ts';
import { logKeyOrderSchema, logKeyRotationSchema, rotateLogKey } from './log-rotation.ts';
import { rotateKey, rotationSchema } from './rotation.ts';
import { KEY_STATES, type SigningKeys, stateOf } from './signing-keys.ts';

/** The dependencies of {@link keyRoutes}. */
export interface KeyRoutesDeps {
  control: ControlDeps;
  signingKeys: SigningKeys;
  logKeys: Pick<LogKeys, 'prepare'>;
}

/** A signing key as returned by the API. */
const signingKeySchema = z
  .object({
    kid: z.string().meta({ description: 'The RFC 7638 thumbprint.' }),
    state: z.enum(KEY_STATES),
    created_ms: epochMs,
    retires_ms: epochMs
      .nullable()
      .meta({ description: 'When the key stops verifying; null for the active key.' }),
  })
  .meta({ id: 'SigningKey' });
export type SigningKeyView = z.infer<typeof signingKeySchema>;

const { route, list } = routesFor<KeyRoutesDeps>({ tag: 'Who is calling', format: 'problem', since: '1.0' });

/** The signing keys of the broker's own tokens. */
export const keyRoutes = [
  list({
    name: 'listKeys',
    operation: 'key.read',
    method: 'GET',
    path: '/v1/keys',
    summary: 'list the signing keys, including retired ones, newest first',
    caller: 'any',
    outcomes: GOVERNED_READ,
    success: 200,
    answer: signingKeySchema,
    handle: async ({ control }, { call, page: { limit, place } }) => {
      await authorizeRead(control, call, { operation: 'key.read' });
      const nowMs = control.clock();
      // With one key a month, all keys fit on one page for years.
      const rows = (await listSigningKeys(control.store.read)).toReversed();
      const start = place === null ? 0 : rows.findIndex(({ kid }) => kid === place) + 1;
      return pageOf(limit, {
        rows: rows.slice(start, start + limit + 1),
        view: (row) => toView(row, nowMs),
        next: (row) => row.kid,
      });
    },
  }),
  route({
    name: 'rotateKey',
    operation: 'key.rotate',
    method: 'POST',
    path: '/v1/keys/rotate',
    summary: 'sign with a new key; previous keys verify until their tokens have expired',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    success: 201,
    answer: rotationSchema,
    idempotent: true,
    handle: async ({ signingKeys }, { write }) => {
      const fresh = await signingKeys.prepare();
      return { body: await write((writing) => rotateKey(writing, fresh)) };
    },
  }),
  route({
    name: 'rotateLogKey',
    operation: 'key.rotate',
    method: 'POST',
    path: '/v1/log/keys/rotate',
    summary:
      'sign checkpoints with a new key, which a record commits; the former key signs, too, for some days',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    errors: ['state_conflict'],
    success: 201,
    body: logKeyOrderSchema,
    answer: logKeyRotationSchema,
    idempotent: true,
    handle: async ({ logKeys }, { write, body: { overlap_days } }) => {
      const next = await logKeys.prepare();
      return { body: await write((writing) => rotateLogKey(writing, { next, overlap_days })) };
    },
  }),
];

function toView({ kid, created_ms, retires_ms }: SigningKeysTable, nowMs: number): SigningKeyView {
  return { kid, state: stateOf({ retires_ms }, nowMs), created_ms, retires_ms };
}
