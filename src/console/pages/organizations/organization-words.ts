import type { OrganizationChange, OrganizationFlag } from '../../../organizations/view.ts';

/*
 * What an organization sees and why, in words.
 */

/** Why the variant is served. */
export function whyInWords({ why, rule, bucket, named, conditional }: OrganizationFlag): string {
  const said = {
    disabled: 'the flag is switched off',
    not_in_audience: 'it is not in the audience',
    rule: rule === null ? 'a rule matches it' : `the rule ${rule} matches it`,
    rollout: `it is in this share of the rollout${bucket === null ? '' : ` (at ${bucket.toFixed(2)} %)`}`,
    default: named ? 'the audience names it' : 'everybody in the audience gets it',
  }[why];
  return conditional ? `${said}; some of its contexts may get something else, by rules` : said;
}

/** A value as short text. */
export function valueInWords(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? 'nothing');
}

/** What has changed for the organization. */
export function changeForInWords({ before, after, named }: OrganizationChange): string {
  return `${servedInWords(before?.variant, after?.variant)}${NAMING[named]}`;
}

const NAMING = {
  added: ', and is named now',
  removed: ', and is not named any more',
  kept: '',
  no: '',
} as const;

function servedInWords(before: string | undefined, after: string | undefined): string {
  if (after === undefined) return 'gets nothing any more';
  if (before === undefined) return `gets ${after}`;
  return before === after ? `goes on to get ${after}` : `gets ${after} in place of ${before}`;
}
