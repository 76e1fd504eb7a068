import type { Command } from 'commander';
import { decodeJwt } from 'jose';
import { createCredentials, type StoredCredentials } from '../auth/credentials.ts';
import { endOf, lastsUntil, type SignInEnd } from '../auth/kept-sign-in.ts';
import {
  assertProfileName,
  listProfiles,
  noSuchProfile,
  profileOf,
  removeProfile,
  useProfile,
} from '../auth/profiles.ts';
import type { Cli } from '../cli.ts';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { EXIT } from '../output/exit-codes.ts';
import { printable } from '../output/text.ts';

const HELP = `
A profile is one person in this terminal. Each has its own sign-ins.

  countersign login --profile alex              sign in as somebody else
  countersign approve ID --profile alex         one command as alex
  countersign profiles use alex                 every later command as alex
  COUNTERSIGN_PROFILE=alex countersign whoami   in this shell only
  countersign logout --profile alex             revoke and remove the sign-in of alex`;

interface SignInSummary extends SignInEnd {
  broker: string;
  who: string;
}

interface ProfileSummary {
  name: string;
  current: boolean;
  sign_ins: SignInSummary[];
}

/** `profiles`, `profiles list`, `profiles use`, `profiles remove`. */
export function registerProfiles(program: Command, cli: Cli): void {
  const profiles = program
    .command('profiles')
    .description('be several people in one terminal: list the profiles, choose one, remove one')
    .addHelpText('after', HELP);
  cli.localCommand(profiles, 'list', 'list the profiles and their sign-ins').action((options) =>
    cli.runLocal(options, async ({ io, print }) => {
      const summaries = await summariesOf(io);
      print({ profiles: summaries }, () => summaries.map(describe).join('\n'));
      return EXIT.done;
    }),
  );
  cli
    .localCommand(profiles, 'use', 'let every later command act as this profile')
    .argument('<name>', 'the profile, or default')
    .action((name: string, options) =>
      cli.runLocal(options, async ({ io, print, note }) => {
        await useProfile(io, name);
        if (io.env.COUNTERSIGN_PROFILE)
          note('COUNTERSIGN_PROFILE is set, so commands in this shell use that instead.');
        const isNew = !(await listProfiles(io)).includes(name);
        print({ profile: name }, () =>
          isNew
            ? `Commands now use the profile ${name}. Sign in with: ${cli.commandLine('login', '--profile', name)}`
            : `Commands now use the profile ${name}.`,
        );
        return EXIT.done;
      }),
    );
  cli
    .localCommand(profiles, 'remove', 'forget a profile that is signed out everywhere')
    .argument('<name>', 'the profile')
    .action((name: string, options) =>
      cli.runLocal(options, async ({ io, print }) => {
        assertProfileName(name);
        const { sign_ins } = await summaryOf(io, name, '');
        const [open] = sign_ins;
        if (open !== undefined) throw stillSignedIn(name, open.broker);
        const removed = await removeProfile(io, name);
        if (!removed) throw noProfile(name, await listProfiles(io));
        print({ profile: name, removed }, () => `The profile ${name} is removed.`);
        return EXIT.done;
      }),
    );
}

async function summariesOf(io: Io): Promise<ProfileSummary[]> {
  const current = await profileOf(io, undefined);
  const names = await listProfiles(io);
  const all = names.includes(current) ? names : [...names, current];
  return Promise.all(all.map((name) => summaryOf(io, name, current)));
}

async function summaryOf(io: Io, name: string, current: string): Promise<ProfileSummary> {
  const brokers = await createCredentials(io, name).loadAll();
  const sign_ins = Object.entries(brokers).flatMap(([broker, { sign_in }]) =>
    sign_in === undefined ? [] : [{ broker, who: whoOf(sign_in), ...endOf(sign_in) }],
  );
  return { name, current: name === current, sign_ins };
}

/** What the provider calls the person. Nothing is decided by it. */
function whoOf({ id_token }: NonNullable<StoredCredentials['sign_in']>): string {
  try {
    const { preferred_username, email, sub } = decodeJwt(id_token);
    return [preferred_username, email, sub].find((name) => typeof name === 'string') ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

function describe({ name, current, sign_ins }: ProfileSummary): string {
  const mark = current ? '*' : ' ';
  if (sign_ins.length === 0) return `${mark} ${name}  not signed in`;
  return sign_ins
    .map(
      ({ broker, who, ...end }) =>
        `${mark} ${name}  ${printable(who)} at ${printable(broker)}, ${lastsUntil(end)}`,
    )
    .join('\n');
}

function noProfile(name: string, known: readonly string[]): CliError {
  return new CliError(EXIT.error, {
    code: 'not_found',
    title: 'Not found',
    detail: noSuchProfile(name, known),
  });
}

function stillSignedIn(name: string, broker: string): CliError {
  return new CliError(EXIT.error, {
    code: 'profile_signed_in',
    title: 'The profile is signed in',
    detail: `A copy of its tokens would work on. Sign out first: countersign logout --profile ${name} --broker ${broker}`,
  });
}
