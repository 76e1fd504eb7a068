import type { ControlDeps } from '../decide/control.ts';
import { routesFor } from '../decide/edge.ts';
import { GOVERNED_WRITE } from '../http/route.ts';
import type { Logger } from '../logger.ts';
import { type DrillDeps, drillReportSchema, runDrill } from './drill.ts';

/** The dependencies of {@link drillRoutes}. */
export interface DrillRoutesDeps extends Pick<DrillDeps, 'issuer' | 'signingKeys'> {
  control: ControlDeps;
  /** The address this broker listens on; the drill uses no proxy. */
  url: string;
  log: Logger;
}

/** The timeout of one call of the drill. */
const TIMEOUT_MS = 5000;

const { route } = routesFor<DrillRoutesDeps>({ tag: 'Emergency', format: 'problem', since: '1.0' });

/** The revocation drill: issues a token, uses it, revokes it and proves that it is refused. */
export const drillRoutes = [
  route({
    name: 'drillRevocation',
    operation: 'revocation.drill',
    method: 'POST',
    path: '/v1/drills/revocation',
    summary: 'prove that a revoked token is refused',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    success: 201,
    answer: drillReportSchema,
    handle: async ({ control, issuer, signingKeys, url, log }, { call }) => {
      const use = (token: string) => callWhoami(url, token);
      const report = await runDrill({ control, signingKeys, issuer, use }, call);
      if (report.outcome === 'failed') log.error({ drill: report.id }, 'a revocation drill failed');
      return { body: report };
    },
  }),
];

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
