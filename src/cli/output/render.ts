import type { Gate } from '../../errors.ts';
import type { ChangeFacts, InputChange } from '../../flags/change-facts.ts';
import { inWords } from '../../moment.ts';
import { isOpen } from '../../requests/states.ts';
import type { RequestView } from '../../requests/view.ts';
import type { Context } from '../cli.ts';
import type { Problem } from '../cli-error.ts';
import { byWhom } from './by-whom.ts';
import { jsonText, member, moment, printable, shellWord } from './text.ts';

/**
 * The complete output for people. Nothing is shortened here; `brief.ts` has the short form.
 */

type CommandLine = Context['commandLine'];

/** Renders a request: its content, its changes, the missing gates and the commands that clear them. */
export function renderRequest(request: RequestView, commandLine: CommandLine): string {
  const place = request.environment === null ? '' : ` in ${request.environment}`;
  return [
    `request  ${request.id}  ${request.state}${place}`,
    `digest   ${request.digest}`,
    `by       ${printable(byWhom(request.proposer))}, ${moment(request.created_ms)}`,
    `reason   ${printable(request.reason)}`,
    ...(request.ticket === null ? [] : [`ticket   ${printable(request.ticket)}`]),
    ...(request.start_ms === null ? [] : [`starts   ${moment(request.start_ms)}`]),
    ...(request.apply === 'manual' ? ['apply    manual: waits for an apply command'] : []),
    ...(isOpen(request) ? [`expires  ${moment(request.expires_ms)}`] : []),
    ...renderWhat(request),
    ...renderVotes(request),
    ...renderGates(request.gates, {
      requestId: request.id,
      commandLine,
      denied: request.standing.effect === 'deny',
    }),
  ].join('\n');
}

/** What a request does: a sentence, or its changes. */
export function renderWhat({
  changes,
  summary,
  environment,
}: Pick<RequestView, 'changes' | 'summary' | 'environment'>): string[] {
  if (summary !== null) return [`does     ${printable(summary)}`];
  return ['changes', ...changes.flatMap((change, place) => renderChange(change, place, environment))];
}

function renderChange(change: InputChange, place: number, environment: string | null): string[] {
  return [
    `  ${place + 1}. ${describeChange(change, environment)}: ${describeFacts(change)}`,
    ...describeDifference(change).map((line) => `     ${line}`),
  ];
}

/** Describes a change: the action, the flag and the environment. */
export function describeChange({ action, flag, facts }: InputChange, environment: string | null): string {
  const where = facts.scope === 'definition' ? 'every environment' : environment;
  const how = action === 'retire' ? ', for ever' : '';
  return `${action} ${flag.key} in ${where}${how} (${flag.namespace}, ${flag.kind}, ${flag.tier})`;
}

const DIRECTIONS: Readonly<Record<ChangeFacts['direction'], string>> = {
  on: 'currently reaches no one, and will reach someone',
  off: 'currently reaches someone, and will reach no one',
  widen: 'may reach more than now',
  narrow: 'reaches fewer than now',
  neutral: 'reaches the same as now',
};

/** A new flag: what switches it on are other changes. */
export const CREATED = 'created, off everywhere';

/** Those whose served value stays, though the change chooses them by name for the first time. */
function organizationsOnlyNamed({ organizations_added, organizations_named = [] }: ChangeFacts): string[] {
  return organizations_named.filter((organization) => !organizations_added.includes(organization));
}

/** The facts of one change in a sentence. At most `most` organizations or users are listed; the rest are counted. */
export function describeFacts(
  { action, facts }: Pick<InputChange, 'action' | 'facts'>,
  most = Number.POSITIVE_INFINITY,
): string {
  const named = (label: string, ids: readonly string[]): string[] => {
    const others = ids.length > most ? ` and ${ids.length - most} more` : '';
    return ids.length === 0 ? [] : [`${label} ${ids.slice(0, most).map(printable).join(', ')}${others}`];
  };
  return [
    action === 'create' ? CREATED : `${facts.direction}: ${DIRECTIONS[facts.direction]}`,
    ...named('organizations added', facts.organizations_added),
    ...named('organizations removed', facts.organizations_removed),
    ...named('organizations named', organizationsOnlyNamed(facts)),
    ...named('served instead', facts.swaps?.map(({ from, to }) => `${to} for ${from}`) ?? []),
    ...(facts.moved_percent === undefined || facts.moved_percent === 0
      ? []
      : [`${facts.moved_percent} % of organizations moved to another variant`]),
    ...named('users added', facts.users_added),
    ...named('users removed', facts.users_removed),
    ...(facts.default_changed ? ['the default changes'] : []),
    ...(facts.returns_to === null ? [] : [`a return to version ${facts.returns_to}`]),
    ...(facts.tier_lowered_from === null ? [] : [`the tier was ${facts.tier_lowered_from}`]),
    ...(facts.entitlement ? ['an entitlement'] : []),
    ...(facts.exception_used ? ['with an exception for single users'] : []),
  ].join('; ');
}

function describeDifference(change: InputChange): string[] {
  return differences(change).map(({ name: key, before, after }) => {
    const { name, value } = member(key, after);
    const earlier = before === undefined ? '' : `${member(key, before).value} → `;
    return `${printable(name)}: ${earlier}${value}`;
  });
}

/** The members that differ, each before and after; undefined when a member is absent. */
export function differences({
  before,
  after,
}: InputChange): { name: string; before: unknown; after: unknown }[] {
  const was = isDocument(before) ? before : {};
  const becomes = isDocument(after) ? after : {};
  return [...new Set([...Object.keys(was), ...Object.keys(becomes)])]
    .filter((name) => JSON.stringify(was[name]) !== JSON.stringify(becomes[name]))
    .map((name) => ({ name, before: was[name], after: becomes[name] }));
}

function isDocument(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function renderVotes({ approvals, rejections }: RequestView): string[] {
  const votes = [
    ...approvals.map((vote) => ({ ...vote, verdict: 'approved' })),
    ...rejections.map((vote) => ({ ...vote, verdict: 'rejected' })),
  ];
  return votes.map(({ verdict, person, at_ms, comment, counts, voided_ms }) => {
    const said = comment === null ? '' : `: ${printable(comment)}`;
    const why =
      voided_ms === null ? 'for another digest, so it does not count' : `void since ${moment(voided_ms)}`;
    return `${verdict} by ${printable(person)}, ${moment(at_ms)}${counts ? '' : ` (${why})`}${said}`;
  });
}

/** The inputs for the commands that clear gates. */
interface GatePlace {
  requestId: string | null;
  commandLine: CommandLine;
  /** The command that meets the broker's sign-in requirements, if known. */
  signIn?: string | undefined;
  /** Whether these are why it was denied, rather than what is missing. */
  denied?: boolean;
}

/** The open gates, each with the command that clears it. */
export function renderGates(gates: readonly Gate[], at: GatePlace): string[] {
  if (gates.length === 0) return [];
  return [
    at.denied === true ? 'denied because' : 'missing',
    ...gates.flatMap((gate) => {
      const command = commandFor(gate, at);
      return [
        `  ${gate.code}: ${printable(gate.detail)}  cleared by: ${printable(gate.cleared_by)}`,
        ...(command === null ? [] : [`    ${command}`]),
        ...(typeof gate.opens_ms === 'number' ? [`    opens  ${hereAndUtc(gate.opens_ms)}`] : []),
      ];
    }),
  ];
}

/** An instant in UTC, and in the reader's own zone. */
function hereAndUtc(atMs: number): string {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return timeZone === 'UTC' ? moment(atMs) : `${moment(atMs)}; here ${inWords(timeZone, atMs)}`;
}

/** The command that clears a gate, or null when no command does. */
function commandFor(
  { code, call, cleared_by }: Gate,
  { requestId, commandLine, signIn }: GatePlace,
): string | null {
  if (code === 'sign_in_required' && cleared_by !== 'time') return signIn ?? commandLine('login', '--mfa');
  if (code === 'frozen')
    return `${commandLine('freeze', '--list')}; ${commandLine('lift', '…', '--reason', '…')}`;
  if (call === null) return null;
  const id = /^\/v1\/requests\/([0-9a-f-]+)/.exec(call.path)?.[1] ?? requestId;
  const body = isDocument(call.body) ? call.body : {};
  switch (`${call.method} ${call.path.replace(/\/v1\/requests\/[0-9a-f-]+/, '/v1/requests/ID')}`) {
    case 'POST /v1/requests/ID/approve':
      return commandLine('approve', id ?? '…', '--digest', String(body.digest));
    case 'POST /v1/requests/ID/apply':
      return commandLine('apply', id ?? '…');
    case 'PATCH /v1/requests/ID':
      return commandLine('edit', id ?? '…', ...Object.keys(body).flatMap((name) => [`--${name}`, '…']));
    case 'GET /v1/requests/ID':
      return commandLine('show', id ?? '…');
    case 'POST /v1/break-glass':
      return commandLine('break-glass', 'open', '--incident', '…', '--reason', '…');
    case 'POST /v1/requests':
      return isDocument(call.body)
        ? `echo ${shellWord(jsonText(body, 0))} | ${commandLine('propose', '--file', '-')}`
        : commandLine('propose', '…');
    default:
      return `${call.method} ${call.path}`;
  }
}

/** Problems whose cause is only in the broker's log. */
const UNEXPLAINED: ReadonlySet<string> = new Set([
  'token_invalid',
  'internal_error',
  'not_recorded',
  'outcome_unknown',
]);

/** Renders a refusal with all its hints. */
export function renderProblem(problem: Problem, commandLine: CommandLine): string {
  const reasons = (problem.reasons ?? []) as readonly { code: string; detail: string }[];
  const gates = problem.gates ?? [];
  const signIn = signInCommand(problem, commandLine);
  return [
    `${problem.title} (${problem.code})`,
    ...(repeats(problem.detail, [...reasons, ...gates]) ? [] : [`  ${printable(problem.detail)}`]),
    ...(problem.errors ?? []).map(({ pointer, detail }) => `  ${printable(pointer)}: ${printable(detail)}`),
    // A gate repeats the code of its reason and adds how to clear it.
    ...reasons
      .filter(({ code }) => gates.every((gate) => gate.code !== code))
      .map(({ code, detail }) => `  ${printable(code)}: ${printable(detail)}`),
    ...renderGates(gates, {
      requestId: null,
      commandLine,
      signIn,
      // Those that repeat its reasons.
      denied: reasons.length > 0 && gates.every((gate) => reasons.some(({ code }) => gate.code === code)),
    }),
    ...(signIn !== undefined && gates.every((gate) => gate.code !== problem.code)
      ? ['sign in with', `    ${signIn}`]
      : []),
    ...(typeof problem.decision_id === 'string' ? [`decision ${printable(problem.decision_id)}`] : []),
    // The response has no reason. The operator finds it in the broker's log by this reference.
    ...(UNEXPLAINED.has(problem.code) && typeof problem.instance === 'string'
      ? [`reference ${printable(problem.instance.replace(/^urn:uuid:/, ''))}`]
      : []),
  ].join('\n');
}

/** The command for the sign-in that helps; undefined where none would. */
function signInCommand({ code, command }: Problem, commandLine: CommandLine): string | undefined {
  if (typeof command === 'string') return command;
  return code === 'sign_in_required' ? commandLine('login', '--mfa') : undefined;
}

/** True when the text consists only of the details listed below it. */
function repeats(text: string, listed: readonly { detail: string }[]): boolean {
  const details = listed.map(({ detail }) => detail).sort((one, other) => other.length - one.length);
  const rest = details.reduce((left, detail) => left.replaceAll(detail, ''), text);
  return listed.length > 0 && /^[\s.]*$/.test(rest);
}
