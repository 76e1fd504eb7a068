import { LATEST_FILE } from '../snapshot/latest.ts';
import { exchangeToken } from './auth/exchange.ts';
import type { Context } from './cli.ts';
import { toCliError } from './client.ts';
import { readBody } from './log-target.ts';
import type { SnapshotFiles } from './publish-snapshots.ts';
import { ANSWER_TIMEOUT_MS, arrived, unreachable } from './unreachable.ts';

/** How long before it expires a token is replaced. */
const SAFETY_MS = 30_000;

/** The snapshots of one environment, as the broker serves them. */
export function snapshotsOfBroker(context: Context, environment: string): SnapshotFiles {
  const { io, broker } = context;
  const tokens = readerTokens(context, environment);
  return {
    name: `${broker}/snapshots`,
    read: async (path, maxBytes) => {
      const response = await io
        .fetch(`${broker}/snapshots/${path}`, {
          headers: { authorization: `Bearer ${await tokens.get()}` },
          redirect: 'error',
          signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
        })
        .catch((error: unknown) => {
          throw unreachable(broker, error);
        });
      const body = await arrived(broker, readBody(response, maxBytes));
      if (response.ok) return body;
      // A body that was replaced meanwhile; the pointer says which one is the newest.
      if (response.status === 404 && !path.endsWith(`/${LATEST_FILE}`)) return null;
      // It was revoked, or the broker was restored.
      if (response.status === 401) tokens.drop();
      throw toCliError(response, parseProblem(body));
    },
  };
}

/** Supplies a token that reads an environment, and another one before it expires or when it is no longer accepted. */
function readerTokens(
  { io, broker, tokens }: Context,
  environment: string,
): { get: () => Promise<string>; drop: () => void } {
  let kept: { value: string; untilMs: number } | null = null;
  const get = async () => {
    const given = io.env.COUNTERSIGN_TOKEN?.trim();
    if (given !== undefined && given !== '') return given;
    if (kept !== null && io.clock() < kept.untilMs - SAFETY_MS) return kept.value;
    const audience = `data:${environment}`;
    const asked = { ...(await tokens.identity()), audience };
    const { access_token, expires_ms } = await exchangeToken(io, broker, asked, false);
    kept = { value: access_token, untilMs: expires_ms };
    return access_token;
  };
  return {
    get,
    drop: () => {
      kept = null;
    },
  };
}

function parseProblem(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
}
