import { decodeJwt } from 'jose';
import { z } from 'zod';
import { MFA_LEVEL } from '../../issuers/issuers.ts';
import { CliError, type Problem, usageError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';
import type { Credentials, KeptSignIn } from './credentials.ts';
import { findLoginIssuer } from './discovery.ts';
import { toKept } from './kept-sign-in.ts';
import { FRESH_AGE_S, signIn } from './sign-in.ts';

/** The ways to perform a step-up. */
export const STEP_UPS = ['browser', 'device', 'never'] as const;

/** One of {@link STEP_UPS}. */
export type StepUp = (typeof STEP_UPS)[number];

const demandSchema = z.object({
  level: z.number(),
  max_age_s: z.number().nullable().catch(null),
  acr_values: z.array(z.string()).catch([]),
});

/** The broker's requirements for a sign-in: the members of a problem `sign_in_required`. @see RFC 9470 section 3 */
export type SignInDemand = Problem & z.infer<typeof demandSchema>;

/** The sign-in requirements in a problem, or null when it has none. */
export function demandOf(problem: Problem): SignInDemand | null {
  if (problem.code !== 'sign_in_required') return null;
  const parsed = demandSchema.safeParse(problem);
  return parsed.success ? { ...problem, ...parsed.data } : null;
}

/**
 * Signs the person of a stored sign-in in again, as strong and as fresh as required, and stores the new sign-in. Null
 * stands for a token from the environment, which a sign-in does not replace.
 *
 * @throws CliError with the command to run, when no interactive sign-in is possible here; or when the sign-in fails,
 *   does not meet the requirements, or belongs to another account
 */
export type SignInAgain = (kept: KeptSignIn | null, demand: SignInDemand) => Promise<KeptSignIn>;

/**
 * Creates the step-up for a broker.
 *
 * @param deps.stepUp how to sign in; undefined is the flow of the stored sign-in at a terminal, otherwise `never`
 */
export function createSignInAgain(deps: {
  io: Io;
  broker: string;
  credentials: Credentials;
  stepUp: string | undefined;
  commandLine(...words: string[]): string;
  /** Tells the person what to do. */
  note(line: string): void;
}): SignInAgain {
  const { io, broker, credentials, note } = deps;
  return async (kept, demand) => {
    const told = parseStepUp(deps.stepUp ?? (io.env.COUNTERSIGN_STEP_UP || undefined));
    const how = kept === null ? 'never' : (told ?? (io.ask === null ? 'never' : kept.flow));
    if (kept === null || how === 'never') {
      const login = deps.commandLine('login', ...loginWords(kept, demand));
      const command = kept === null ? `unset COUNTERSIGN_TOKEN; ${login}` : login;
      throw new CliError(EXIT.signIn, { ...demand, command });
    }
    const issuer = await findLoginIssuer(io, broker, kept.issuer);
    note(`A new sign-in is required: ${printable(demand.detail)}`);
    const signedIn = await signIn(io, {
      issuer,
      flow: how,
      deviceOption: '--step-up device',
      stepUp: { acrValues: demand.acr_values, maxAgeS: demand.max_age_s ?? FRESH_AGE_S },
      isFresh: true,
      openBrowser: true,
      note,
    });
    assertSameAccount(kept, signedIn.sub);
    const sign_in = toKept(io, { issuer, flow: how, signedIn });
    await credentials.update(broker, (stored) => ({ ...stored, sign_in }));
    return sign_in;
  };
}

/** @throws CliError `usage` */
function parseStepUp(text: string | undefined): StepUp | undefined {
  const known = STEP_UPS.find((stepUp) => stepUp === text);
  if (text !== undefined && known === undefined) {
    throw usageError(`Invalid COUNTERSIGN_STEP_UP "${text}". It must be one of ${STEP_UPS.join(', ')}.`);
  }
  return known;
}

/** The options of `login` that meet the requirements, with the issuer and flow of the stored sign-in. */
function loginWords(kept: KeptSignIn | null, { level, acr_values }: SignInDemand): string[] {
  const strength =
    level === MFA_LEVEL || acr_values.length === 0
      ? ['--mfa']
      : acr_values.flatMap((value) => ['--acr', value]);
  if (kept === null) return strength;
  return [...strength, '--issuer', kept.issuer, ...(kept.flow === 'device' ? ['--device'] : [])];
}

/** The command continues under the same account only. Otherwise another account would complete it. */
function assertSameAccount({ id_token }: KeptSignIn, sub: string): void {
  const before = decodeJwt(id_token).sub;
  if (before === sub) return;
  throw new CliError(
    EXIT.signIn,
    {
      code: 'sign_in_other_account',
      title: 'Signed in with another account',
      detail: `You signed in as ${sub}, but the command was started as ${before}. Nothing was sent, and the previous sign-in is unchanged. To act as ${sub}, sign in as them.`,
    },
    { login: [] },
  );
}
