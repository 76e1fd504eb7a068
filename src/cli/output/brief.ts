import type { InputChange } from '../../flags/change-facts.ts';
import type { Audience, Rollout } from '../../flags/model.ts';
import type { RequestView } from '../../requests/view.ts';
import type { Context } from '../cli.ts';
import { byWhom } from './by-whom.ts';
import { describeAudience, describeShares } from './describe-state.ts';
import { describeChange, describeFacts, differences } from './render.ts';
import { moment, printable, printableJson } from './text.ts';

/** A value of at most this many characters of JSON is shown whole. */
const SHORT_VALUE = 60;
/** So many organizations or users are named; the others are counted. */
const SHORT_LIST = 5;

/**
 * What a vote on a request is about: one line a change, who asks and why, and the digest. What is too long for a line
 * is counted instead, so the last line names the command that shows everything.
 */
export function renderBrief(request: RequestView, commandLine: Context['commandLine']): string {
  const { summary, changes, environment, proposer, ticket, reason, start_ms } = request;
  const ticketed = ticket === null ? '' : `, ${oneLine(ticket)}`;
  return [
    ...(summary === null ? [] : [`does     ${oneLine(summary)}`]),
    ...changes.map((change, place) => renderChange(change, place, environment)),
    `by       ${oneLine(byWhom(proposer))}${ticketed}: ${oneLine(reason)}`,
    ...(start_ms === null ? [] : [`starts   ${moment(start_ms)}`]),
    `digest   ${request.digest}`,
    `in full  ${commandLine('show', request.id)}`,
  ].join('\n');
}

function renderChange(change: InputChange, place: number, environment: string | null): string {
  const facts = describeFacts(change.facts, SHORT_LIST);
  return oneLine(
    `${place + 1}. ${describeChange(change, environment)}: ${describeDifference(change)} (${facts})`,
  );
}

function describeDifference(change: InputChange): string {
  if (change.before === null) return 'a new flag';
  return differences(change)
    .map(({ name, before, after }) => {
      const [was, becomes] = [inFewWords(name, before), inFewWords(name, after)];
      // What differs may be in what the few words leave out.
      return was === becomes ? `${name}: other than before, ${becomes}` : `${name}: ${was} → ${becomes}`;
    })
    .join(', ');
}

/** The members of flags that have words of their own; anything else is shown if it is short, or counted. */
function inFewWords(name: string, value: unknown): string {
  // Facts name the organizations that come and go, so the audience itself is counted.
  if (name === 'audience') return describeAudience(value as Audience);
  if (name === 'rollout' && value !== null) return describeShares(value as Rollout);
  const whole = printableJson(value);
  if (whole.length <= SHORT_VALUE) return whole;
  if (Array.isArray(value)) return `${value.length} entries`;
  if (typeof value === 'object' && value !== null) return `${Object.keys(value).length} members`;
  return `${whole.slice(0, SHORT_VALUE)}…`;
}

function oneLine(text: string): string {
  return printable(text.replaceAll('\n', ' '));
}
