import type { ExplanationView } from '../../explain/view.ts';
import { inWords } from '../../moment.ts';
import { localTime } from '../../policy/zones.ts';
import type { Context } from '../cli.ts';
import { renderGates, renderWhat } from './render.ts';
import { moment, printable } from './text.ts';

/** An explanation for people: the answer, why, and what would change it. */
export function renderExplanation(explanation: ExplanationView, context: Context): string {
  const { about, operation, principal, environment, effect, reasons, guardrail, policy_hash, at_ms } =
    explanation;
  const where = environment === null ? '' : ` in ${printable(environment)}`;
  return [
    ...renderPlan(explanation),
    `about    ${about.type === 'what_if' ? 'what if' : `${about.type} ${printable(about.id ?? '')}`}`,
    `asked    ${printable(operation)} by ${nameOf(principal)}${where}, ${moment(at_ms)}`,
    `answer   ${effect}${guardrail === null ? '' : `, by the guardrail ${printable(guardrail)}`}`,
    ...reasons
      .filter(isSaidOnlyThere(explanation))
      .map(({ code, detail }) => `         ${printable(code)}: ${printable(detail)}`),
    ...renderGrants(explanation),
    ...renderMissing(explanation, context),
    ...renderOutcome(explanation, context),
    `policy   ${printable(policy_hash)}`,
  ].join('\n');
}

/** Whether what is missing, which comes below, does not say the same as a reason. */
function isSaidOnlyThere({ gates, obligations }: ExplanationView) {
  const said = [...gates, ...obligations.map(({ gate }) => gate)];
  return (reason: { code: string; detail: string }) =>
    said.every(({ code, detail }) => code !== reason.code || detail !== reason.detail);
}

/** What a plan would do, before the answer to it. */
function renderPlan({ plan, environment }: ExplanationView): string[] {
  if (plan === null) return [];
  return [
    'plan     nothing was proposed',
    `digest   ${plan.digest}`,
    ...renderWhat({ ...plan, environment }),
  ];
}

function renderGrants({ granted_by }: ExplanationView): string[] {
  if (granted_by === null) return [];
  if (granted_by.length === 0) return ['granted  by no role binding'];
  return granted_by.map(({ principal, by, key, issuer, index }) => {
    const at = issuer === null ? '' : ` at ${issuer}`;
    return `granted  by ${printable(`${by} ${key}${at}${index === 0 ? '' : ` (${index + 1})`}`)}, to ${printable(principal)}`;
  });
}

function renderMissing({ obligations, gates, about, effect }: ExplanationView, context: Context): string[] {
  const at = { requestId: about.type === 'request' ? about.id : null, commandLine: context.commandLine };
  const own = new Set(obligations.map(({ gate }) => JSON.stringify(gate)));
  const others = renderGates(
    gates.filter((gate) => !own.has(JSON.stringify(gate))),
    at,
  ).slice(1);
  if (obligations.length === 0 && others.length === 0) return [];
  return [
    effect === 'deny' ? 'denied because' : 'missing',
    ...obligations.flatMap((missing) => [
      ...renderGates([missing.gate], at).slice(1),
      ...renderDetails(missing, context).map((line) => `      ${line}`),
    ]),
    ...others,
  ];
}

function renderDetails(
  { who, bindings, opens, effect_if_met, obligation, gate }: ExplanationView['obligations'][number],
  context: Context,
): string[] {
  return [
    ...(who === null ? [] : [`who    ${who.length === 0 ? 'nobody known' : who.map(nameOf).join(', ')}`]),
    ...renderBindings(bindings, { obligation, gate }, context),
    ...(opens === null
      ? obligation.kind === 'window' || obligation.kind === 'blackout'
        ? ['opens  unknown']
        : []
      : [
          `opens  ${printable(opens.window ?? 'blackout over')}: ${printable(inWords(opens.zone, opens.opens_ms))}${hereOf(opens, context)}`,
        ]),
    ...(effect_if_met === null ? [] : [`alone  ${effect_if_met}`]),
  ];
}

/** The bindings that would do; where there is none, the command that adds one. */
function renderBindings(
  bindings: ExplanationView['obligations'][number]['bindings'],
  { obligation, gate }: Pick<ExplanationView['obligations'][number], 'obligation' | 'gate'>,
  { commandLine }: Context,
): string[] {
  if (bindings === null || obligation.kind !== 'approval') return [];
  if (bindings.length > 0) {
    return [`by     ${bindings.map(({ by, key }) => printable(`${by} ${key}`)).join(', ')}`];
  }
  const [place = { namespace: '*', environment: '*' }] = gate.scope?.length === 1 ? gate.scope : [];
  const { role, organization } = obligation;
  const words = [
    ...['policy', 'add-binding', '--group', '…', '--role', role],
    ...['--namespace', place.namespace, '--environment', place.environment],
    ...(organization === undefined ? [] : ['--organization', organization]),
    ...['--reason', '…'],
  ];
  return [`by     no binding of the policy; add one with ${commandLine(...words)}`];
}

/** The same moment on the clocks of the reader, unless these are those of the window. */
function hereOf({ zone, opens_ms }: { zone: string; opens_ms: number }, { io }: Context): string {
  const own = zoneOfReader(io.env.TZ);
  const isSame = localTime(own, opens_ms) === localTime(zone, opens_ms);
  return own === zone || isSame ? '' : `; here ${inWords(own, opens_ms)}`;
}

/** The reader's IANA zone. */
function zoneOfReader(named: string | undefined): string {
  try {
    return new Intl.DateTimeFormat('en', named ? { timeZone: named } : {}).resolvedOptions().timeZone;
  } catch {
    return 'UTC';
  }
}

function renderOutcome({ if_all_met, who_could, at_ms }: ExplanationView, { io }: Context): string[] {
  return [
    ...(if_all_met === null
      ? []
      : [
          `if met   ${if_all_met.effect}${if_all_met.at_ms === at_ms ? '' : `, on ${inWords(zoneOfReader(io.env.TZ), if_all_met.at_ms)}`}`,
          ...(if_all_met.effect === 'allow'
            ? []
            : if_all_met.reasons.map(
                ({ code, detail }) => `         ${printable(code)}: ${printable(detail)}`,
              )),
        ]),
    ...(who_could === null
      ? []
      : [`who may  ${who_could.length === 0 ? 'nobody known' : who_could.map(nameOf).join(', ')}`]),
  ];
}

function nameOf({ id, person }: ExplanationView['principal']): string {
  return printable(person === null ? id : `${id} (${person})`);
}
