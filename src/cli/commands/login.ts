import type { Command } from 'commander';
import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import { findLoginIssuer } from '../auth/discovery.ts';
import { FRESH_AGE_S, type StepUpOrder, signIn } from '../auth/sign-in.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment, printable } from '../output/text.ts';

interface LoginOptions extends CommonOptions {
  issuer?: string;
  device?: boolean;
  mfa?: boolean;
  acr?: string[];
  /** False with `--no-browser`. */
  browser: boolean;
}

/** `login`. */
export function registerLogin(program: Command, cli: Cli): void {
  cli
    .command(program, 'login', 'sign in, and store the sign-in for this broker until it expires')
    .option('--issuer <key>', 'the issuer to sign in at, if the broker has several')
    .option('--device', 'sign in on another device, with a code')
    .option('--mfa', 'sign in again with a second factor')
    .option(
      '--acr <value>',
      'sign in again with this authentication context class; repeat the option to accept several',
      (value: string, former: string[] = []) => [...former, value],
    )
    .option('--no-browser', 'only print the sign-in address')
    .action((options: LoginOptions) =>
      cli.run(options, async (context) => {
        const { io, broker, credentials } = context;
        const issuer = await findLoginIssuer(io, broker, options.issuer);
        const flow = options.device === true ? 'device' : 'browser';
        const { id_token, sub, acr, expires_ms } = await signIn(io, {
          issuer,
          flow,
          deviceOption: '--device',
          stepUp: stepUpOf(issuer, options),
          openBrowser: options.browser,
          note: context.note,
        });
        const sign_in = { issuer: issuer.key, id_token, expires_ms, flow } as const;
        await credentials.update(broker, (stored) => ({ ...stored, sign_in }));
        // Never print the token: output ends up in logs.
        const answer = { broker, issuer: issuer.key, sub, acr, expires_ms };
        context.print(
          answer,
          () => `Signed in to ${broker} as ${printable(sub)} until ${moment(expires_ms)}.`,
        );
        return EXIT.done;
      }),
    );
}

function stepUpOf(issuer: LoginIssuer, { mfa, acr }: LoginOptions): StepUpOrder | null {
  if (acr !== undefined) return { acrValues: acr, maxAgeS: FRESH_AGE_S };
  return mfa === true ? { acrValues: issuer.mfa_acr_values, maxAgeS: FRESH_AGE_S } : null;
}
