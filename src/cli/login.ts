import type { Command } from 'commander';
import { z } from 'zod';
import type { LoginIssuer } from '../identity/discovery-routes.ts';
import type { Cli, CommonOptions, Context } from './cli.ts';
import { CliError, usageError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { type SignInOrder, signInWithBrowser, signInWithDevice } from './sign-in.ts';
import { moment, printable } from './text.ts';
import { unreachable } from './unreachable.ts';

const TIMEOUT_MS = 30_000;

interface LoginOptions extends CommonOptions {
  issuer?: string;
  device?: boolean;
  mfa?: boolean;
  acr?: string;
  /** False with `--no-browser`. */
  browser: boolean;
}

const discoverySchema = z.object({
  issuers: z.array(
    z.object({
      key: z.string(),
      issuer: z.string(),
      client_id: z.string(),
      scope: z.string(),
      mfa_acr_values: z.array(z.string()),
    }),
  ),
});

/** `login` and `logout`. */
export function registerLogin(program: Command, cli: Cli): void {
  cli
    .command(program, 'login', 'sign in, and keep the sign-in for this broker until it expires')
    .option('--issuer <key>', 'where to sign in, when the broker takes several issuers')
    .option('--device', 'sign in on another device, with a code')
    .option('--mfa', 'sign in anew, with a second factor')
    .option('--acr <value>', 'sign in anew, with this authentication context class')
    .option('--no-browser', 'only print the address')
    .action((options: LoginOptions) =>
      cli.run(options, async (context) => {
        const issuer = chooseIssuer(await discover(context), options.issuer);
        const order: SignInOrder = {
          issuer,
          stepUp: stepUpOf(issuer, options),
          openBrowser: options.browser,
          note: context.note,
        };
        const signIn = options.device === true ? signInWithDevice : signInWithBrowser;
        const { id_token, sub, acr, expires_ms } = await signIn(context.io, order);
        await context.credentials.save(context.broker, {
          sign_in: { issuer: issuer.key, id_token, expires_ms },
        });
        if (order.stepUp !== null && !isAsStrong(order.stepUp.acrValues, acr)) {
          context.note('The provider does not say that this sign-in is as strong as asked for.');
        }
        // Never the token: what is printed ends up in logs.
        const answer = { broker: context.broker, issuer: issuer.key, sub, acr, expires_ms };
        context.print(
          answer,
          () => `Signed in to ${context.broker} as ${printable(sub)} until ${moment(expires_ms)}.`,
        );
        return EXIT.done;
      }),
    );
  cli.command(program, 'logout', 'forget what is kept for this broker').action((options: CommonOptions) =>
    cli.run(options, async (context) => {
      const removed = await context.credentials.remove(context.broker);
      context.print({ broker: context.broker, removed }, () =>
        removed ? `Signed out of ${context.broker}.` : `Nothing was kept for ${context.broker}.`,
      );
      return EXIT.done;
    }),
  );
}

async function discover({ io, broker }: Context): Promise<LoginIssuer[]> {
  let document: unknown;
  try {
    const response = await io.fetch(`${broker}/.well-known/countersign`, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    document = response.ok ? await response.json() : null;
  } catch (error) {
    throw unreachable(broker, error);
  }
  const parsed = discoverySchema.safeParse(document);
  if (parsed.success) return parsed.data.issuers;
  throw new CliError(EXIT.error, {
    code: 'answer_not_understood',
    title: 'The answer is not that of a broker',
    detail: `${broker}/.well-known/countersign does not say where to sign in. Is the URL that of a broker?`,
  });
}

function chooseIssuer(issuers: readonly LoginIssuer[], key: string | undefined): LoginIssuer {
  const keys = issuers.map((issuer) => issuer.key).join(', ');
  const [first, ...others] = key === undefined ? issuers : issuers.filter((issuer) => issuer.key === key);
  if (issuers.length === 0)
    throw usageError('The broker takes sign-ins of no issuer; configure one at the broker.');
  if (first === undefined) throw usageError(`There is no issuer "${key}". There are: ${keys}.`);
  if (others.length > 0) throw usageError(`Name one with --issuer KEY. There are: ${keys}.`);
  return first;
}

function stepUpOf(issuer: LoginIssuer, { mfa, acr }: LoginOptions): SignInOrder['stepUp'] {
  if (acr !== undefined) return { acrValues: [acr] };
  return mfa === true ? { acrValues: issuer.mfa_acr_values } : null;
}

function isAsStrong(wanted: readonly string[], acr: string | null): boolean {
  return wanted.length === 0 || (acr !== null && wanted.includes(acr));
}
