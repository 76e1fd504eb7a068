import { type Request, Router } from 'express';
import { z } from 'zod';
import type { Call } from '../decide/control.ts';
import { callOf, type Edge, pageShape, parseQuery, sendPage } from '../decide/edge.ts';
import { authorizeRead, readablePlaces } from '../decide/read.ts';
import { BrokerError } from '../errors.ts';
import { findDefinition, listFlags, listStates, listStateVersions } from '../store/flags.ts';
import type { FlagDefinition, FlagState } from './model.ts';
import { environmentKeySchema, flagKeySchema, namespaceSchema } from './names.ts';

const listSchema = z.strictObject({
  ...pageShape,
  environment: environmentKeySchema,
  namespace: namespaceSchema.optional(),
});
const versionsSchema = z.strictObject({ ...pageShape, environment: environmentKeySchema });

/**
 * Flags for people and pipelines. Applications read flags through OFREP instead.
 *
 *     GET /v1/flags?environment=          flags with their state in one environment
 *     GET /v1/flags/{key}                 one flag with its state in every environment
 *     GET /v1/flags/{key}/versions?environment=   its history there, newest first
 */
export function flagRoutes(edge: Edge): Router {
  const { control, cursors } = edge;
  const { read } = control.store;
  const router = Router();

  router.get('/v1/flags', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, cursor, environment, namespace } = parseQuery(listSchema, req);
    await authorizeRead(control, call, { operation: 'flag.read', environment, namespace: namespace ?? null });
    const isReadable = await readablePlaces(control, call, 'flag.read');
    const filter = { environment, ...(namespace === undefined ? {} : { namespace }) };
    const after = cursor === undefined ? null : String(cursors.open('flags', filter, cursor));
    const rows = await listFlags(read, environment, { ...filter, after, limit: limit + 1 });
    sendPage(req, res, {
      rows,
      limit,
      visible: (row) => isReadable(row.namespace, environment),
      view: (row) => ({
        ...(JSON.parse(row.definition) as FlagDefinition),
        definition_version: row.version,
        state: row.state === null ? null : (JSON.parse(row.state) as FlagState),
        version: row.state_version ?? 0,
      }),
      next: (row) => cursors.sign('flags', filter, row.key),
    });
  });

  router.get('/v1/flags/:key', async (req, res) => {
    const call = await callOf(edge, req);
    const definition = await findDefinition(read, flagKey(req));
    await authorizeFlag(call, definition, null);
    if (definition === undefined) throw noSuchFlag();
    const isReadable = await readablePlaces(control, call, 'flag.read');
    const all = await listStates(read, definition.key);
    const states = all.filter((row) => isReadable(definition.namespace, row.environment));
    res.json({
      ...(JSON.parse(definition.definition) as FlagDefinition),
      definition_version: definition.version,
      states: Object.fromEntries(
        states.map((row) => [
          row.environment,
          { ...(JSON.parse(row.state) as FlagState), version: row.version },
        ]),
      ),
    });
  });

  router.get('/v1/flags/:key/versions', async (req, res) => {
    const call = await callOf(edge, req);
    const { limit, cursor, environment } = parseQuery(versionsSchema, req);
    const flag = flagKey(req);
    const definition = await findDefinition(read, flag);
    await authorizeFlag(call, definition, environment);
    if (definition === undefined) throw noSuchFlag();
    const filter = { flag, environment };
    const beforeVersion = cursor === undefined ? null : Number(cursors.open('versions', filter, cursor));
    const rows = await listStateVersions(read, { ...filter, beforeVersion, limit: limit + 1 });
    sendPage(req, res, {
      rows,
      limit,
      view: ({ version, state, request_id, decision_id, at_ms }) => ({
        version,
        at_ms,
        request_id,
        decision_id,
        state: JSON.parse(state) as FlagState,
      }),
      next: (row) => cursors.sign('versions', filter, row.version),
    });
  });

  /** A flag that the caller may not read gets the same answer as an unknown one: keys can reveal plans. */
  async function authorizeFlag(
    call: Call,
    definition: { namespace: string } | undefined,
    environment: string | null,
  ): Promise<void> {
    if (definition === undefined) {
      await authorizeRead(control, call, { operation: 'flag.read', environment });
      return;
    }
    const isReadable = await readablePlaces(control, call, 'flag.read');
    if (isReadable(definition.namespace, environment)) return;
    await authorizeRead(control, call, { operation: 'flag.read', environment });
    throw noSuchFlag();
  }

  return router;
}

function flagKey(req: Request): string {
  const parsed = flagKeySchema.safeParse(req.params.key);
  if (!parsed.success) throw noSuchFlag();
  return parsed.data;
}

function noSuchFlag(): BrokerError {
  return new BrokerError('not_found', 'No flag has this key.');
}
