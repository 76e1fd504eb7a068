import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import type { AnswerOf } from '../../routes.ts';
import { CliError } from '../cli-error.ts';
import { createClient } from '../client.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment } from '../output/text.ts';
import type { SignInResult } from './sign-in.ts';

/** A sign-in of this age was not made for the command, but remembered by the provider. In milliseconds. */
const REMEMBERED_MS = 60_000;

/** Where a sign-in is to be accepted. */
interface AskedAt {
  io: Io;
  broker: string;
  issuer: LoginIssuer;
}

/**
 * Asks the broker whether it accepts a sign-in, before anything is stored or said.
 *
 * @returns the caller, as the broker sees them
 * @throws CliError `sign_in_not_accepted` with the reason, or the broker's problem
 */
export async function askWhetherAccepted(
  at: AskedAt,
  signedIn: SignInResult,
): Promise<AnswerOf<'whoami'>['principal']> {
  const { io, broker } = at;
  const token = { value: signedIn.id_token, bound: null };
  const tokens = { token: async () => token, renew: async () => null, stepUp: async () => null };
  const asking = createClient({ io, broker, tokens, onFreeze: () => undefined });
  const { body } = await asking
    .call<AnswerOf<'whoami'>>({ method: 'GET', path: '/v1/whoami' })
    .catch((error: unknown) => {
      throw error instanceof CliError && REFUSALS.has(error.problem.code)
        ? refusedBy(at, signedIn, error)
        : error;
    });
  assertLasts(at, signedIn);
  return body.principal;
}

/** The codes with which the broker refuses a token of a person. */
const REFUSALS: ReadonlySet<string> = new Set(['token_invalid', 'claims_incomplete']);

function refusedBy(at: AskedAt, signedIn: SignInResult, { problem }: CliError): CliError {
  const reference = typeof problem.instance === 'string' ? ` under ${problem.instance}` : '';
  // What the token lacks is told; of everything else, only the log has the reason.
  const why = problem.detail.includes('claim')
    ? problem.detail
    : `Its log has the reason${reference}. Likely ones: the client ${at.issuer.client_id} is not in the issuer's audience, you or your session are revoked, or a clock is wrong.`;
  return notAccepted(`${at.issuer.issuer} signed you in, but ${at.broker} does not accept it. ${why}`, at, {
    signedIn,
    members: { refusal: problem },
  });
}

/** Policy says how long a sign-in is accepted; one that has no time, or is too old already, would be denied everywhere. */
function assertLasts(at: AskedAt, signedIn: SignInResult): void {
  const { max_age_s, issuer } = at.issuer;
  if (max_age_s === undefined) return;
  const limit = `The policy of ${at.broker} accepts a sign-in for ${describeAge(max_age_s)}`;
  const { auth_time_ms } = signedIn;
  if (auth_time_ms === null) {
    throw notAccepted(
      `${limit}, and ${issuer} does not say when you signed in. Ask its administrator to add the claim auth_time to ID tokens, or a policy-maintainer to remove token_lifetimes.sign_in.`,
      at,
      {},
    );
  }
  if (auth_time_ms + max_age_s * 1000 <= at.io.clock())
    throw notAccepted(`${limit}, and yours is older.`, at, { signedIn });
}

function notAccepted(
  detail: string,
  { io }: AskedAt,
  { signedIn, members = {} }: { signedIn?: SignInResult; members?: Record<string, unknown> },
): CliError {
  const since = signedIn?.auth_time_ms ?? null;
  const isRemembered = since !== null && io.clock() - since > REMEMBERED_MS;
  const hint = isRemembered ? ` The provider remembered your sign-in of ${moment(since)}: sign in anew.` : '';
  return new CliError(
    EXIT.signIn,
    {
      code: 'sign_in_not_accepted',
      title: 'The broker does not accept the sign-in',
      detail: `${detail}${hint} Nothing was stored.`.replace(/([^.]) Nothing/, '$1. Nothing'),
      ...members,
    },
    isRemembered ? { login: ['--fresh'] } : {},
  );
}

function describeAge(seconds: number): string {
  const hours = seconds / 3600;
  return Number.isInteger(hours) ? `${hours} ${hours === 1 ? 'hour' : 'hours'}` : `${seconds} seconds`;
}
