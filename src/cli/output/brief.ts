import type { InputChange } from '../../flags/change-facts.ts';
import type { Audience, Rollout } from '../../flags/model.ts';
import type { RequestView } from '../../requests/view.ts';
import type { Context } from '../cli.ts';
import { byWhom } from './by-whom.ts';
import { describeAudience, describeShares } from './describe-state.ts';
import { describeChange, describeFacts, differences } from './render.ts';
import { member, moment, printable, printableJson } from './text.ts';

/** The maximum length in JSON characters of a value that is shown in full. */
const SHORT_VALUE = 60;
/** The maximum number of organizations or users to list; the rest are counted. */
const SHORT_LIST = 5;

/**
 * Summarizes a request before a vote: one line per change, the proposer, the reason and the digest. Long values are
 * counted instead of shown, so the last line names the command that shows everything.
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
  const facts = describeFacts(change, SHORT_LIST);
  return oneLine(
    `${place + 1}. ${describeChange(change, environment)}: ${describeDifference(change)} (${facts})`,
  );
}

function describeDifference(change: InputChange): string {
  if (change.before === null) return 'a new flag';
  return differences(change)
    .map(({ name: key, before, after }) => {
      const [was, becomes] = [inFewWords(key, before), inFewWords(key, after)];
      const { name } = member(key, after);
      // The difference may be in a part that the summary omits.
      return was === becomes ? `${name}: changed, ${becomes}` : `${name}: ${was} → ${becomes}`;
    })
    .join(', ');
}

/** Summarizes known members of flags. Other values are shown if short, otherwise counted. */
function inFewWords(name: string, value: unknown): string {
  // The facts name the added and removed organizations, so the audience itself is only counted.
  if (name === 'audience') return describeAudience(value as Audience);
  if (name === 'rollout' && value !== null) return describeShares(value as Rollout);
  const whole = name.endsWith('_ms') ? member(name, value).value : printableJson(value);
  if (whole.length <= SHORT_VALUE) return whole;
  if (Array.isArray(value)) return `${value.length} entries`;
  if (typeof value === 'object' && value !== null) return `${Object.keys(value).length} members`;
  return `${whole.slice(0, SHORT_VALUE)}…`;
}

function oneLine(text: string): string {
  return printable(text.replaceAll('\n', ' '));
}
