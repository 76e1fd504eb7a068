import { JWT_TYPE } from '../../tokens/exchange-form.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { findPlatformToken } from './platform-token.ts';
import { readTokenFile } from './token-file.ts';

/** What is exchanged at the broker, as parameters of the form. RFC 8693 section 2.1 */
export type ExchangeTokens = Readonly<Record<string, string>>;

/**
 * The tokens that a job or an agent exchanges, or null outside of a platform: the platform's token alone, or for an agent
 * the delegation of the person it acts for, with the platform's token as the actor's. The delegation is in
 * `COUNTERSIGN_DELEGATION_TOKEN`, or in the file that `COUNTERSIGN_DELEGATION_TOKEN_FILE` names.
 *
 * @throws CliError when one of them is there and yields no token, or there is a delegation and nobody whom it is for
 */
export async function findExchangeTokens(io: Pick<Io, 'env' | 'fetch'>): Promise<ExchangeTokens | null> {
  const platformToken = await findPlatformToken(io);
  const delegation = await findDelegation(io.env);
  if (delegation !== null && platformToken === null) throw noAgent();
  if (platformToken === null) return null;
  if (delegation === null) return { subject_token: platformToken, subject_token_type: JWT_TYPE };
  return {
    subject_token: delegation,
    subject_token_type: JWT_TYPE,
    actor_token: platformToken,
    actor_token_type: JWT_TYPE,
  };
}

async function findDelegation(env: Io['env']): Promise<string | null> {
  if (env.COUNTERSIGN_DELEGATION_TOKEN) return env.COUNTERSIGN_DELEGATION_TOKEN.trim();
  const file = env.COUNTERSIGN_DELEGATION_TOKEN_FILE;
  if (!file) return null;
  return readTokenFile(file).catch((error: Error) => {
    throw noDelegation(`COUNTERSIGN_DELEGATION_TOKEN_FILE cannot be read: ${error.message}.`, error);
  });
}

/** Going on without the delegation would be acting as somebody else: the person whose sign-in is kept here, say. */
function noAgent(): CliError {
  return noDelegation(
    'There is a delegation, but no platform token of the agent that it is for. Set COUNTERSIGN_SUBJECT_TOKEN or COUNTERSIGN_SUBJECT_TOKEN_FILE, or unset COUNTERSIGN_DELEGATION_TOKEN and COUNTERSIGN_DELEGATION_TOKEN_FILE.',
  );
}

function noDelegation(detail: string, cause?: unknown): CliError {
  return new CliError(
    EXIT.error,
    { code: 'delegation_not_usable', title: 'The delegation cannot be used', detail },
    { cause },
  );
}
