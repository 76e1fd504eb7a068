import type { Command } from 'commander';
import type { AnswerOf } from '../../routes.ts';
import { endOf, lastsUntil } from '../auth/kept-sign-in.ts';
import type { Cli, CommonOptions } from '../cli.ts';
import { EXIT } from '../output/exit-codes.ts';
import { moment, printable } from '../output/text.ts';

/** `whoami`. */
export function registerWhoami(program: Command, cli: Cli): void {
  cli
    .command(program, 'whoami', 'show your identity at the broker and when it expires')
    .action((options: CommonOptions) =>
      cli.run(options, async (context) => {
        const { body } = await context.client.call<AnswerOf<'whoami'>>({ method: 'GET', path: '/v1/whoami' });
        const { sign_in } = await context.credentials.load(context.broker);
        // Of a token from elsewhere, its end is all that is known.
        const isStored = sign_in !== undefined && sign_in.expires_ms === body.credential.expires_ms;
        const lasts = isStored ? lastsUntil(endOf(sign_in)) : null;
        context.print({ ...body, profile: context.profile }, () => describe(body, context.profile, lasts));
        return EXIT.done;
      }),
    );
}

function describe(
  { principal, credential }: AnswerOf<'whoami'>,
  profile: string | null,
  lasts: string | null,
): string {
  const { id, person, groups, auth, token } = principal;
  return [
    printable(id),
    ...(profile === null ? [] : [`profile  ${profile}`]),
    ...(person === null ? [] : [`person   ${printable(person)}`]),
    `groups   ${groups.length === 0 ? 'none' : groups.map(printable).join(', ')}`,
    ...(auth.auth_time_ms === null
      ? []
      : [`sign-in  level ${auth.level}, ${printable(auth.acr ?? 'no acr')}, ${moment(auth.auth_time_ms)}`]),
    `token    ${printable(credential.token_id)}, ${token.sender_constrained ? 'bound to a key' : 'a bearer token'}`,
    `expires  ${moment(credential.expires_ms)}`,
    ...(lasts === null ? [] : [`lasts    ${lasts}`]),
  ].join('\n');
}
