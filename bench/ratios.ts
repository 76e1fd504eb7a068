import { fixed, times, whole } from './figures.ts';
import type { Measured } from './measure.ts';

/** One comparison of the headline. */
export interface Ratio {
  /** What was measured: `toggle`. */
  what: string;
  against: string;
  /** Null where nobody calls. */
  clients: number | null;
  /** How many times the rate of the other one. */
  ratio: number;
}

/** What the product aims at: at least so many times the rate of the other one. */
interface Aim {
  what: string;
  against: string;
  /** Numbers of clients; none are all. */
  clients?: number;
  atLeast: number;
}

/** A measure of the product alone, in a unit, with what it aims at. */
export interface Measure {
  what: string;
  value: number;
  unit: string;
  /** A time has a most, a rate a least. */
  aim: { atMost: number } | { atLeast: number };
}

export const EXPRESS_FLOOR = 'Express floor';
export const LEAN_FLOOR = 'lean floor';
export const BARE_FLOOR = 'bare node:http';
export const UNLEASH = 'unleash-server';
export const UNLEASH_PROXY = '@unleash/proxy';
export const FLAGD = 'flagd';
export const OPA = 'OPA’s server';
export const EVALUATION = 'bare evaluation';
/** The product, as one side of a comparison. */
export const BROKER = 'broker';
export const RELAY = 'relay';

export const TOGGLE = 'toggle';
export const SEVERAL = 'toggle, two brokers on PostgreSQL';
export const ONE_FLAG = 'one flag';
export const ALL_FLAGS = 'all flags';
export const UNCHANGED = 'all flags, unchanged';
export const RELAY_ONE_FLAG = 'relay: one flag';
export const RELAY_UNCHANGED = 'relay: all flags, unchanged';
export const RELAY_ALL_FLAGS = 'relay: 350 flags';
export const DECISION = 'decision in process';

const AIMS: readonly Aim[] = [
  { what: TOGGLE, against: UNLEASH, clients: 32, atLeast: 6 },
  { what: SEVERAL, against: UNLEASH, clients: 32, atLeast: 2 },
  { what: TOGGLE, against: LEAN_FLOOR, clients: 1, atLeast: 0.7 },
  { what: TOGGLE, against: LEAN_FLOOR, clients: 32, atLeast: 0.5 },
  { what: ONE_FLAG, against: BARE_FLOOR, clients: 8, atLeast: 0.75 },
  { what: ONE_FLAG, against: BARE_FLOOR, clients: 32, atLeast: 0.75 },
  { what: ONE_FLAG, against: FLAGD, atLeast: 2 },
  { what: ALL_FLAGS, against: BARE_FLOOR, atLeast: 0.6 },
  { what: UNCHANGED, against: BARE_FLOOR, atLeast: 0.6 },
  { what: RELAY_ONE_FLAG, against: BARE_FLOOR, clients: 8, atLeast: 0.75 },
  { what: RELAY_ONE_FLAG, against: BARE_FLOOR, clients: 32, atLeast: 0.75 },
  { what: RELAY_ONE_FLAG, against: FLAGD, atLeast: 2 },
  { what: RELAY_UNCHANGED, against: BARE_FLOOR, atLeast: 0.6 },
  { what: RELAY_ALL_FLAGS, against: UNLEASH_PROXY, atLeast: 3 },
  // A decision takes at most 1.4 times as long.
  { what: DECISION, against: EVALUATION, atLeast: 1 / 1.4 },
];

/** The product against each of the others. */
export function ratiosOf(what: string, clients: number, measured: readonly Measured[]): Ratio[] {
  const [product, ...others] = measured;
  if (product === undefined) throw new Error('nothing was measured');
  return others.map(({ name, perSecond }) => ({
    what,
    against: name,
    clients,
    ratio: product.perSecond / perSecond,
  }));
}

/** The headline: the ratios of the run and the other measures, whether each meets its aim, and who could not be measured. */
export function headline(
  { ratios, measures }: { ratios: readonly Ratio[]; measures: readonly Measure[] },
  skipped: ReadonlyMap<string, string>,
): string[] {
  if (ratios.length === 0 && measures.length === 0) return [];
  const lines = [...[...skipped].flatMap(([name, why]) => [`**SKIPPED: ${name}.** ${why}`, ''])];
  if (ratios.length > 0) lines.push(...tableOfRatios(ratios));
  if (measures.length > 0) lines.push(...tableOfMeasures(measures));
  const missed = [...ratios.flatMap(missesOf), ...measures.filter((each) => !isMet(each)).map(missOf)];
  lines.push(
    missed.length === 0 ? 'Every aim that was measured is met.' : `**Missed:** ${missed.join('; ')}.`,
  );
  return lines;
}

function tableOfRatios(ratios: readonly Ratio[]): string[] {
  const lines = ['## Ratios', '', 'How many times the rate of the other one, at each number of clients.', ''];
  lines.push('|  | against | ratios | aim |', '|---|---|---|---|');
  const groups = Map.groupBy(ratios, ({ what, against }) => `| ${what} | ${against} |`);
  for (const [head, group] of groups) {
    const found = group.map(({ clients, ratio }) => at(ratio, clients));
    lines.push(`${head} ${found.join(', ')} | ${group.flatMap(verdicts).join(', ') || '–'} |`);
  }
  return [...lines, ''];
}

function tableOfMeasures(measures: readonly Measure[]): string[] {
  const lines = ['## Times and rates', '', '|  | measured | aim |', '|---|---|---|'];
  for (const each of measures) {
    const verdict = isMet(each) ? 'met' : '**missed**';
    lines.push(`| ${each.what} | ${inUnit(each.value, each)} | ${aimText(each)}: ${verdict} |`);
  }
  return [...lines, ''];
}

/** What was not measured meets no aim. */
function isMet({ value, aim }: Measure): boolean {
  return 'atMost' in aim ? value <= aim.atMost : value >= aim.atLeast;
}

function missOf(each: Measure): string {
  return `${each.what}: ${inUnit(each.value, each)}, not ${aimText(each)}`;
}

function aimText(each: Measure): string {
  const { aim } = each;
  return 'atMost' in aim ? `at most ${inUnit(aim.atMost, each)}` : `at least ${inUnit(aim.atLeast, each)}`;
}

function inUnit(value: number, { unit }: Measure): string {
  return `${Math.abs(value) < 10 ? fixed(value, 2) : whole(value)} ${unit}`;
}

function aimsOf({ what, against, clients }: Ratio): Aim[] {
  return AIMS.filter(
    (aim) =>
      aim.what === what && aim.against === against && (aim.clients === undefined || aim.clients === clients),
  );
}

function verdicts(each: Ratio): string[] {
  return aimsOf(each).map(
    ({ atLeast }) => `${at(atLeast, each.clients)}: ${each.ratio >= atLeast ? 'met' : '**missed**'}`,
  );
}

function missesOf(each: Ratio): string[] {
  const { what, against, clients, ratio } = each;
  return aimsOf(each)
    .filter(({ atLeast }) => !(ratio >= atLeast))
    .map(({ atLeast }) => `${what} against ${against} is ${at(ratio, clients)}, not ${times(atLeast)}`);
}

/** A ratio, with how many clients it is of. */
function at(ratio: number, clients: number | null): string {
  return clients === null ? times(ratio) : `${times(ratio)} (${clients})`;
}
