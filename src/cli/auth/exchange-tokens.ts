import { JWT_TYPE } from '../../tokens/exchange-form.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { findPlatformToken } from './platform-token.ts';
import { readTokenFile } from './token-file.ts';

/** The tokens of an exchange, as form parameters. RFC 8693 section 2.1 */
export type ExchangeTokens = Readonly<Record<string, string>>;

/**
 * Finds the tokens that a job or an agent exchanges, or null outside of a platform. A job exchanges its platform token.
 * An agent exchanges the delegation of its sponsor, with its platform token as the actor token. The delegation is in
 * `COUNTERSIGN_DELEGATION_TOKEN`, or in the file that `COUNTERSIGN_DELEGATION_TOKEN_FILE` names.
 *
 * @throws CliError when a source is configured but yields no token, or there is a delegation without a platform token
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

/** Without the delegation the command would act as another principal, such as the person whose sign-in is stored. */
function noAgent(): CliError {
  return noDelegation(
    'There is a delegation, but no platform token of its agent. Set COUNTERSIGN_SUBJECT_TOKEN or COUNTERSIGN_SUBJECT_TOKEN_FILE, or unset COUNTERSIGN_DELEGATION_TOKEN and COUNTERSIGN_DELEGATION_TOKEN_FILE.',
  );
}

function noDelegation(detail: string, cause?: unknown): CliError {
  return new CliError(
    EXIT.error,
    { code: 'delegation_not_usable', title: 'The delegation cannot be used', detail },
    { cause },
  );
}
