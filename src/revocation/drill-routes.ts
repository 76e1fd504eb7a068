import { Router } from 'express';
import { z } from 'zod';
import { callOf, type Edge } from '../decide/edge.ts';
import { parse } from '../http/body.ts';
import type { Logger } from '../logger.ts';
import { type DrillDeps, runDrill } from './drill.ts';

/** The dependencies of {@link drillRoutes} besides the edge. */
export interface DrillRoutesDeps extends Pick<DrillDeps, 'issuer' | 'signingKeys'> {
  /** The address this broker listens on; the drill uses no proxy. */
  url: string;
  log: Logger;
}

/** The timeout of one call of the drill. */
const TIMEOUT_MS = 5000;

const emptySchema = z.strictObject({}).optional();

/** `POST /v1/drills/revocation`: issues a token, uses it, revokes it and proves that it is refused. */
export function drillRoutes(edge: Edge, deps: DrillRoutesDeps): Router {
  const { issuer, signingKeys, url, log } = deps;
  const router = Router();
  router.post('/v1/drills/revocation', async (req, res) => {
    const call = await callOf(edge, req);
    parse(emptySchema, req.body);
    const report = await runDrill(
      { control: edge.control, signingKeys, issuer, use: (token) => callWhoami(url, token) },
      call,
    );
    if (report.outcome === 'failed') log.error({ drill: report.id }, 'a revocation drill failed');
    res.status(201).json(report);
  });
  return router;
}

async function callWhoami(url: string, token: string): Promise<number> {
  try {
    const { status } = await fetch(`${url}/v1/whoami`, {
      headers: { authorization: `Bearer ${token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return status;
  } catch {
    return 0;
  }
}
