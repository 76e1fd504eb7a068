import type { Command } from 'commander';
import type { LoginIssuer } from '../../issuers/discovery-routes.ts';
import { askWhetherAccepted } from '../auth/acceptance.ts';
import { tokenOfEnvironment } from '../auth/access-token.ts';
import { findLoginIssuer } from '../auth/discovery.ts';
import { endOf, lastsUntil, toKept } from '../auth/kept-sign-in.ts';
import { isNamed } from '../auth/profiles.ts';
import { FRESH_AGE_S, type StepUpOrder, signIn } from '../auth/sign-in.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { collect } from '../collect.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';

interface LoginOptions extends CommonOptions {
  issuer?: string;
  device?: boolean;
  mfa?: boolean;
  acr?: string[];
  fresh?: boolean;
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
      collect,
    )
    .option(
      '--fresh',
      'sign in again although the identity provider remembers you, as a first sign-in in a profile does',
    )
    .option('--no-browser', 'only print the sign-in address')
    .action((options: LoginOptions) =>
      cli.run(options, async (context) => {
        const { io, broker, credentials } = context;
        const issuer = await findLoginIssuer(io, broker, options.issuer);
        const flow = options.device === true ? 'device' : 'browser';
        const signedIn = await signIn(io, {
          issuer,
          flow,
          deviceOption: '--device',
          stepUp: stepUpOf(issuer, options),
          isFresh: options.fresh === true || (await isForSomebodyElse(context)),
          openBrowser: options.browser,
          note: context.note,
        });
        const principal = await askWhetherAccepted({ io, broker, issuer }, signedIn);
        const sign_in = toKept(io, { issuer, flow, signedIn });
        await credentials.update(broker, (stored) => ({ ...stored, sign_in }));
        noteOthers(context);
        const { sub, acr } = signedIn;
        const end = endOf(sign_in);
        const named = isNamed(context) ? `, in the profile ${context.profile},` : '';
        // Never print the token: output ends up in logs.
        context.print({ broker, issuer: issuer.key, sub, acr, ...end, principal }, () =>
          [
            `Signed in to ${broker} as ${printable(sub)}${named} ${lastsUntil(end)}.`,
            groupsLine(principal.groups),
          ].join('\n'),
        );
        return EXIT.done;
      }),
    );
}

/** A profile without a sign-in is for somebody else than the one whom the browser may remember. */
async function isForSomebodyElse(context: Context): Promise<boolean> {
  if (!isNamed(context)) return false;
  const { sign_in = null } = await context.credentials.load(context.broker);
  return sign_in === null;
}

function groupsLine(groups: readonly string[]): string {
  return groups.length === 0
    ? 'The provider named no groups of yours. Most roles come from groups: see claims.groups in the configuration of the broker.'
    : `groups   ${groups.map(printable).join(', ')}`;
}

/** What takes precedence over the sign-in would otherwise be found out by its denials. */
function noteOthers({ io, note }: Context): void {
  const set = tokenOfEnvironment(io);
  if (set !== null) note(`${set} is set, so commands use that instead of this sign-in.`);
}

function stepUpOf(issuer: LoginIssuer, { mfa, acr }: LoginOptions): StepUpOrder | null {
  if (acr !== undefined) return { acrValues: acr, maxAgeS: FRESH_AGE_S };
  return mfa === true ? { acrValues: issuer.mfa_acr_values, maxAgeS: FRESH_AGE_S } : null;
}
