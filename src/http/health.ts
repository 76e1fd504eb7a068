import { Router } from 'express';
import type { Metrics } from './metrics.ts';

/** The readiness checks. Each one rejects when its component does not work. */
export interface HealthDeps {
  checks: Readonly<Record<string, () => Promise<unknown>>>;
}

/**
 * `/healthz`: the process runs. `/readyz`: it is ready; 503 names the failing components. `/metrics`: Prometheus.
 */
export function healthRoutes({ checks }: HealthDeps, metrics: Metrics): Router {
  const router = Router();
  router.get('/healthz', (_req, res) => {
    res.json({ status: 'ok' });
  });
  router.get('/readyz', async (_req, res) => {
    const parts = await Promise.all(
      Object.entries(checks).map(async ([part, check]) => [part, await isWorking(check)] as const),
    );
    const ready = parts.every(([, working]) => working);
    res.status(ready ? 200 : 503).json({
      status: ready ? 'ready' : 'not_ready',
      checks: Object.fromEntries(parts.map(([part, working]) => [part, working ? 'ok' : 'failing'])),
    });
  });
  router.get('/metrics', async (_req, res) => {
    res.type(metrics.contentType).send(await metrics.text());
  });
  return router;
}

async function isWorking(check: () => Promise<unknown>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch {
    return false;
  }
}
