import { type Command, Option } from 'commander';
import { nameAtIssuer } from '../../identity/credential.ts';
import { TokenRefused } from '../../identity/refusal.ts';
import { parseTokenForm } from '../../identity/token-form.ts';
import { tokenIdOf } from '../../identity/token-id.ts';
import { REVOCATION_KINDS } from '../../policy/input.ts';
import type { Hits } from '../../revocation/hits.ts';
import type { Impact } from '../../revocation/incident.ts';
import { describeRevocation } from '../../revocation/input-revocation.ts';
import type { RevocationView } from '../../revocation/view.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, pathSegment, printable, table } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

/** What can be revoked, as the command line has it. */
const KINDS = REVOCATION_KINDS.map((kind) => kind.replace('_', '-'));

/** So many of each that is hit are named; the others are counted. */
const SHOWN = 20;

interface RevokeOptions extends CommonOptions {
  incident?: string;
  reason?: string;
  issuedBefore?: number;
  dryRun?: boolean;
}

interface ListOptions extends CommonOptions, PageOptions {
  state?: string;
  kind?: string;
}

/** `revoke` and `revocations`. */
export function registerRevocations(program: Command, cli: Cli): void {
  registerRevoke(program, cli);
  const revocations = program.command('revocations').description('what is revoked');
  const list = cli
    .command(revocations, 'list', 'list what is revoked, newest first')
    .addOption(new Option('--state <state>', 'all: lifted ones too').choices(['active', 'all']))
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(KINDS));
  addPageOptions(list).action((options: ListOptions) =>
    cli.run(options, async (context) => {
      const page = await context.client.list<RevocationView>({
        path: '/v1/revocations',
        query: { state: options.state, kind: options.kind?.replace('-', '_'), ...pageQuery(options) },
        all: options.all === true,
      });
      return printPage(context, page, (items) =>
        table(['ID', 'WHAT', 'SINCE', 'BY', 'CAUSE', 'INCIDENT', 'LIFTED'], items.map(toRow)),
      );
    }),
  );
  cli.command(revocations, 'show <id>', 'show one').action((id: string, options: CommonOptions) =>
    cli.run(options, async (context) => {
      const path = `/v1/revocations/${pathSegment(id)}`;
      const { body } = await context.client.call<RevocationView>({ method: 'GET', path });
      context.print(body, () => renderRevocation(body));
      return EXIT.done;
    }),
  );
  registerLift(revocations, cli);
}

function registerRevoke(program: Command, cli: Cli): void {
  cli
    .command(program, 'revoke <kind> <value>', 'refuse what somebody holds, from the next request on')
    .addHelpText('after', KIND_HELP)
    .option('--incident <id>', 'the incident; a dry run needs none')
    .option('--reason <text>', 'why; a dry run needs none')
    .option('--issued-before <moment>', `only what was issued before: ${MOMENT_HELP}`, (text: string) =>
      parseMoment('--issued-before', text),
    )
    .option('--dry-run', 'say what it would hit, and do nothing')
    .action((kind: string, value: string, options: RevokeOptions) =>
      cli.run(options, async (context) => {
        if (!KINDS.includes(kind))
          throw usageError(`"${kind}" cannot be revoked; name one of ${KINDS.join(', ')}.`);
        const body = {
          kind: kind.replace('-', '_'),
          value: kind === 'token' ? await tokenValue(context, value) : value,
          ...occasionOf(options),
          ...(options.issuedBefore === undefined ? {} : { issued_before: options.issuedBefore }),
        };
        return options.dryRun === true ? preview(context, body) : revoke(context, body);
      }),
    );
}

/** Whoever only looks has no incident yet; policy wants one named all the same. */
function occasionOf({ incident, reason, dryRun }: RevokeOptions): { incident: string; reason: string } {
  if (dryRun === true) return { incident: incident ?? 'dry run', reason: reason ?? 'dry run' };
  if (incident === undefined || reason === undefined) {
    throw usageError('Say why: --incident ID and --reason TEXT are needed to revoke; --dry-run only looks.');
  }
  return { incident, reason };
}

const KIND_HELP = `
KIND is one of
  token       <issuer>#jti:<jti>, or - to read the token itself from standard input; only its id is sent
  session     session:<id> of a browser, or <issuer>#<sid> of the provider's own session
  subject     a person, or the id of a principal such as person:<issuer>:<sub>; with all that they hold
  trust-rule  the name of a rule: everything that was issued under it
  issuer      the iss of an issuer: everything that it vouches for
  class       person, workload, agent or all: what was issued before --issued-before (default: now)
  key         the kid of a signing key: everything that it signed`;

/** What names a token. One that is given in full would be in the history of the shell and the list of processes. */
async function tokenValue({ io }: Context, value: string): Promise<string> {
  if (value !== '-') {
    if (value.includes('#')) return value;
    throw usageError('Name a token as <issuer>#jti:<jti>, or pipe it in: countersign revoke token - < FILE');
  }
  try {
    const { unverified, signingInput } = parseTokenForm((await io.readStdin()).trim());
    if (typeof unverified.iss !== 'string') throw new TokenRefused('claim_shape', 'iss');
    return nameAtIssuer(unverified.iss, tokenIdOf(unverified, signingInput));
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    throw usageError('Standard input has no token that could be named: a JWT with an issuer, on one line.');
  }
}

async function preview(context: Context, body: object): Promise<ExitCode> {
  const call = { method: 'POST', path: '/v1/revocations', body: { ...body, dry_run: true } } as const;
  const { body: answer } = await context.client.call<Impact>(call);
  context.print(answer, () => ['It would hit', ...renderOutcome(answer), 'Nothing was revoked.'].join('\n'));
  return EXIT.done;
}

async function revoke(context: Context, body: object): Promise<ExitCode> {
  const call = { method: 'POST', path: '/v1/revocations', body, idempotencyKey: true } as const;
  const { body: answer } = await context.client.call<RevocationView & Impact>(call);
  context.print(answer, () =>
    [
      renderRevocation(answer),
      'It hit',
      ...renderOutcome(answer),
      'lift it with',
      `    ${context.commandLine('revocations', 'lift', answer.id, '--reason', '…')}`,
    ].join('\n'),
  );
  return EXIT.done;
}

function renderOutcome({ hits, cautions }: Impact): string[] {
  return [
    ...renderHits(hits),
    ...cautions.map(({ code, detail }) => `caution  ${code}: ${printable(detail)}`),
  ];
}

function renderHits({ principals, sessions, tokens, requests, approvals }: Hits): string[] {
  const named = (what: string, names: readonly string[]): string[] => {
    const distinct = [...new Set(names)];
    const others = distinct.length > SHOWN ? [`and ${distinct.length - SHOWN} more`] : [];
    const shown = [...distinct.slice(0, SHOWN).map(printable), ...others].join(', ');
    return [`  ${String(names.length).padStart(4)} ${what}${shown === '' ? '' : `: ${shown}`}`];
  };
  return [
    ...named('principals that were seen here', principals),
    ...named(
      'browser sessions, which end',
      sessions.map(({ principal }) => principal),
    ),
    ...named(
      'tokens of the broker that could still be used',
      tokens.map(({ principal }) => principal),
    ),
    ...named(
      'open requests, which wait',
      requests.map(({ id }) => id),
    ),
    ...named(
      'approvals, which are void',
      approvals.map(({ request, person }) => `${person} on ${request}`),
    ),
  ];
}

function renderRevocation(revocation: RevocationView): string {
  const { id, created_ms, created_by, cause, incident, reason, lifted_ms, returned_ms, expires_ms } =
    revocation;
  return [
    `revoked  ${printable(describeRevocation(revocation))}`,
    `id       ${id}`,
    `since    ${moment(created_ms)} by ${printable(created_by.id)} (${cause})`,
    ...(incident === '' ? [] : [`incident ${printable(incident)}`]),
    `reason   ${printable(reason)}`,
    ...(expires_ms === null ? [] : [`expires  ${moment(expires_ms)}`]),
    ...(returned_ms === null ? [] : [`returned ${moment(returned_ms)}`]),
    ...(lifted_ms === null ? [] : [`lifted   ${moment(lifted_ms)}`]),
  ].join('\n');
}

function toRow(revocation: RevocationView): string[] {
  return [
    revocation.id,
    printable(describeRevocation(revocation)),
    moment(revocation.created_ms),
    revocation.created_by.id,
    revocation.cause,
    revocation.incident,
    revocation.lifted_ms === null ? '-' : moment(revocation.lifted_ms),
  ];
}

function registerLift(revocations: Command, cli: Cli): void {
  const lift = cli
    .command(revocations, 'lift <id>', 'propose to lift a revocation; it takes two persons')
    .requiredOption('--reason <text>', 'why')
    .option('--ticket <id>', 'the ticket');
  addWaitOptions(lift).action(
    (id: string, options: CommonOptions & WaitOptions & { reason: string; ticket?: string }) =>
      cli.run(options, (context) => {
        const { reason, ticket } = options;
        const body = {
          kind: 'revocation.lift',
          revocation: id,
          reason,
          ...(ticket === undefined ? {} : { ticket }),
        };
        return proposeContent(context, { body, ...options });
      }),
  );
}
