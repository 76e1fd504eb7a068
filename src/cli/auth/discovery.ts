import { z } from 'zod';
import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import { usageError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { notABroker } from '../not-a-broker.ts';
import { ANSWER_TIMEOUT_MS, arrived, readJson } from '../unreachable.ts';

const discoverySchema = z.object({
  issuers: z.array(
    z.object({
      key: z.string(),
      issuer: z.string(),
      client_id: z.string(),
      scope: z.string(),
      mfa_acr_values: z.array(z.string()),
      redirect_port: z.int().optional(),
      client_secret: z.string().optional(),
      max_age_s: z.int().optional(),
    }),
  ),
});

/**
 * Asks the broker for the issuer to sign in at.
 *
 * @param key names one of several issuers; undefined selects the only one
 * @throws CliError when the broker does not answer, has no such issuer, or has several and none is named
 */
export async function findLoginIssuer(
  io: Pick<Io, 'fetch'>,
  broker: string,
  key: string | undefined,
): Promise<LoginIssuer> {
  return chooseIssuer(await loadIssuers(io, broker), key);
}

async function loadIssuers({ fetch }: Pick<Io, 'fetch'>, broker: string): Promise<LoginIssuer[]> {
  const asking = { redirect: 'error', signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) } as const;
  const response = await arrived(broker, fetch(`${broker}/.well-known/countersign`, asking));
  const document = response.ok ? await readJson(broker, response) : null;
  const parsed = discoverySchema.safeParse(document);
  if (parsed.success) return parsed.data.issuers;
  throw notABroker(`${broker}/.well-known/countersign`, 'where to sign in');
}

function chooseIssuer(issuers: readonly LoginIssuer[], key: string | undefined): LoginIssuer {
  const keys = issuers.map((issuer) => issuer.key).join(', ');
  const [first, ...others] = key === undefined ? issuers : issuers.filter((issuer) => issuer.key === key);
  if (issuers.length === 0)
    throw usageError('The broker has no issuer for sign-ins. Configure one at the broker.');
  if (first === undefined) throw usageError(`Unknown issuer "${key}". Known issuers: ${keys}.`);
  if (others.length > 0)
    throw usageError(`The broker has several issuers. Name one with --issuer KEY. Known issuers: ${keys}.`);
  return first;
}
