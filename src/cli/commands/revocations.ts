import { type Command, Option } from 'commander';
import { nameAtIssuer } from '../../identity/credential.ts';
import { TokenRefused } from '../../identity/refusal.ts';
import { parseTokenForm } from '../../identity/token-form.ts';
import { tokenIdOf } from '../../identity/token-id.ts';
import { REVOCATION_KINDS } from '../../policy/input.ts';
import { CLASSES } from '../../revocation/classes.ts';
import type { Hits } from '../../revocation/hits.ts';
import type { Impact } from '../../revocation/incident.ts';
import { describeRevocation } from '../../revocation/input-revocation.ts';
import type { RevocationView } from '../../revocation/view.ts';
import type { AnswerOf } from '../../routes.ts';
import { unknownWord } from '../../unknown-name.ts';
import type { Cli, CommonOptions, Context } from '../cli.ts';
import { usageError } from '../cli-error.ts';
import { addYesOption, confirmAct, type YesOption } from '../deliberate.ts';
import { EXIT, type ExitCode } from '../output/exit-codes.ts';
import { addPageOptions, type PageOptions, pageQuery, printPage } from '../output/paging.ts';
import { moment, pathSegment, printable, table } from '../output/text.ts';
import { MOMENT_HELP, parseMoment } from '../parse-moment.ts';
import { fullId } from '../short-id.ts';
import { addWaitOptions, proposeContent, type WaitOptions } from './propose.ts';

/** The kinds of revocation, as spelled on the command line. */
const KINDS = REVOCATION_KINDS.map((kind) => kind.replace('_', '-'));

/** The maximum number of names to list of each affected kind; the rest are counted. */
const SHOWN = 20;

interface RevokeOptions extends CommonOptions, YesOption {
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
  const revocations = program.command('revocations').description('manage revocations');
  const list = cli
    .command(revocations, 'list', 'list revocations, newest first')
    .addOption(new Option('--state <state>', 'all includes lifted ones').choices(['active', 'all']))
    .addOption(new Option('--kind <kind>', 'only this kind').choices(KINDS));
  addPageOptions(list).action((options: ListOptions) =>
    cli.run(options, async (context) => {
      const page = await context.client.list<RevocationView>({
        path: '/v1/revocations',
        query: { state: options.state, kind: options.kind?.replace('-', '_'), ...pageQuery(options) },
        all: options.all === true,
      });
      return printPage(context, page, (items, columns) =>
        table(['ID', 'WHAT', 'SINCE', 'BY', 'CAUSE', 'INCIDENT', 'LIFTED'], items.map(toRow), columns),
      );
    }),
  );
  cli.command(revocations, 'show <id>', 'show a revocation').action((id: string, options: CommonOptions) =>
    cli.run(options, async (context) => {
      const path = `/v1/revocations/${pathSegment(await fullId(context, 'revocation', id))}`;
      const { body } = await context.client.call<RevocationView>({ method: 'GET', path });
      context.print(body, () => renderRevocation(body));
      return EXIT.done;
    }),
  );
  registerLift(revocations, cli);
}

function registerRevoke(program: Command, cli: Cli): void {
  const revocation = cli
    .command(
      program,
      'revoke <kind> <value>',
      'revoke a credential or principal, effective on the next request',
    )
    .addHelpText('after', KIND_HELP)
    .option('--incident <id>', 'the incident reference; optional for a dry run')
    .option('--reason <text>', 'the reason; optional for a dry run')
    .option('--issued-before <moment>', `only credentials issued before: ${MOMENT_HELP}`, (text: string) =>
      parseMoment('--issued-before', text),
    )
    .option('--dry-run', 'show what it would affect, and change nothing');
  addYesOption(revocation).action((kind: string, value: string, options: RevokeOptions) =>
    cli.run(options, async (context) => {
      if (!KINDS.includes(kind)) throw usageError(unknownWord('kind', kind, KINDS, true));
      if (kind === 'class' && !CLASSES.includes(value))
        throw usageError(unknownWord('class', value, CLASSES, true));
      const body = {
        kind: kind.replace('-', '_'),
        value: kind === 'token' ? await tokenValue(context, value) : value,
        ...occasionOf(options),
        ...(options.issuedBefore === undefined ? {} : { issued_before: options.issuedBefore }),
      };
      if (options.dryRun === true) return preview(context, body);
      if (REACH[kind] !== undefined) await confirmReach(context, body, { ...options, reach: REACH[kind] });
      return revoke(context, body);
    }),
  );
}

/** The kinds that reach more than one holder, and whom. */
const REACH: Readonly<Record<string, string>> = {
  'trust-rule': 'every job under the trust rule',
  issuer: 'everybody and everything with a token of the issuer',
  class: 'every member of the class',
  key: 'every holder of a token that is signed with the key',
};

/** Asks with what the revocation would affect, which is read only if somebody is there to see it. */
async function confirmReach(
  context: Context,
  body: object,
  { reach, yes }: YesOption & { reach: string },
): Promise<void> {
  const says = `This revokes the access of ${reach}, at once. Only a request that another person approves lifts it.`;
  const isAsked = context.io.ask !== null && yes !== true;
  const effects = isAsked ? ['It would affect', ...renderOutcome(await foreseen(context, body))] : [];
  await confirmAct(
    context,
    { says: [says, ...effects].join('\n'), question: 'Revoke?' },
    { ...(yes && { yes }) },
  );
}

/** A dry run has no incident yet, but the policy requires one. */
function occasionOf({ incident, reason, dryRun }: RevokeOptions): { incident: string; reason: string } {
  if (dryRun === true) return { incident: incident ?? 'dry run', reason: reason ?? 'dry run' };
  if (incident === undefined || reason === undefined) {
    throw usageError(
      'A revocation requires --incident ID and --reason TEXT. Use --dry-run for a preview without them.',
    );
  }
  return { incident, reason };
}

const KIND_HELP = `
KIND is one of:
  token       <issuer>#jti:<jti>, or - to read the token from standard input; only its id is sent
  session     session:<id> for a browser session, or <issuer>#<sid> for a session at the provider
  subject     a person, or a principal id such as person:<issuer>:<sub>; covers all their credentials
  trust-rule  the name of a rule: everything issued under it
  issuer      the iss of an issuer: everything that it issued
  class       person, workload, agent or all: everything issued before --issued-before (default: now)
  key         the kid of a signing key: everything signed with it`;

/** The name of a token. A complete token on the command line would end up in the shell history and the process list. */
async function tokenValue({ io }: Context, value: string): Promise<string> {
  if (value !== '-') {
    if (value.includes('#')) return value;
    throw usageError(
      'Name a token as <issuer>#jti:<jti>, or pass it on standard input: countersign revoke token - < FILE',
    );
  }
  try {
    const { unverified, signingInput } = parseTokenForm((await io.readStdin()).trim());
    if (typeof unverified.iss !== 'string') throw new TokenRefused('claim_shape', 'iss');
    return nameAtIssuer(unverified.iss, tokenIdOf(unverified, signingInput));
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    throw usageError('Standard input must contain a JWT with an issuer, on one line.');
  }
}

/** What a revocation would affect. */
async function foreseen({ client }: Context, body: object): Promise<Impact> {
  const call = { method: 'POST', path: '/v1/revocations', body: { ...body, dry_run: true } } as const;
  return (await client.call<Impact>(call)).body;
}

async function preview(context: Context, body: object): Promise<ExitCode> {
  const answer = await foreseen(context, body);
  context.print(answer, () =>
    ['This would affect', ...renderOutcome(answer), 'Nothing was revoked.'].join('\n'),
  );
  return EXIT.done;
}

async function revoke(context: Context, body: object): Promise<ExitCode> {
  const call = { method: 'POST', path: '/v1/revocations', body, idempotencyKey: true } as const;
  const { body: answer } = await context.client.call<AnswerOf<'addRevocation'>>(call);
  context.print(answer, () =>
    [
      renderRevocation(answer),
      'Affected',
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
    ...named('known principals', principals),
    ...named(
      'browser sessions (ended)',
      sessions.map(({ principal }) => principal),
    ),
    ...named(
      'unexpired broker tokens',
      tokens.map(({ principal }) => principal),
    ),
    ...named(
      'open requests (parked)',
      requests.map(({ id }) => id),
    ),
    ...named(
      'approvals (void)',
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
    .command(revocations, 'lift <id>', 'propose to lift a revocation; requires a second person')
    .requiredOption('--reason <text>', 'the reason')
    .option('--ticket <id>', 'the ticket reference');
  addWaitOptions(lift).action(
    (id: string, options: CommonOptions & WaitOptions & { reason: string; ticket?: string }) =>
      cli.run(options, async (context) => {
        const { reason, ticket } = options;
        const body = {
          kind: 'revocation.lift',
          revocation: await fullId(context, 'revocation', id),
          reason,
          ...(ticket === undefined ? {} : { ticket }),
        };
        return proposeContent(context, { body, ...options });
      }),
  );
}
