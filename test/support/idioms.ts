/*
 * Phrases that read as translated, each with the usual words of the field. `idiom` is matched against text on one line, in
 * any case; `example` is a text that it finds, and `better` what to write instead.
 */

/** One phrase that no text of this repository has. */
export interface Idiom {
  idiom: RegExp;
  example: string;
  better: string;
}

export const IDIOMS: readonly Idiom[] = [
  { idiom: /\bno such thing\b/, example: 'There is no such thing here.', better: 'Not found' },
  { idiom: /\bstands? twice\b/, example: 'A member stands twice.', better: 'Duplicate object member' },
  { idiom: /\bcounts? (?:no more|nothing)\b/, example: 'The approval counts no more.', better: 'is void' },
  {
    idiom: /\b(?:by|from|of) (?:somebody|someone) who\b/,
    example: 'Approved by somebody who wrote no part of it.',
    better: 'the role: "from a flag-approver who is not an author"',
  },
  {
    idiom: /\blooks? like one\b(?! of)/,
    example: 'The ticket does not look like one.',
    better: 'does not match the required pattern',
  },
  {
    idiom: /[a-z]\(e?s\)(?![\w(])/,
    example: '2 more approval(s)',
    better: 'the singular or the plural, by the number',
  },
  {
    idiom: /(?<!\b(?:are|is|be) )\ball the same\b(?! [a-z])/,
    example: 'It ended all the same: nothing is needed.',
    better: 'regardless, or anyway',
  },
  {
    idiom: /\b(?:says? yes|the yes|(?:'s|’s) yes|yes (?:of|to)|yes from)\b/,
    example: 'by the yes of a second person',
    better: 'approval, approves',
  },
  {
    idiom: /\b(?:the|on the|a) word of\b(?! a printed)|\ba word on\b/,
    example: 'on the word of two humans',
    better: 'approval, statement',
  },
  {
    idiom: /\b(?:policy|policies|broker|provider|server|rule|tier|call|bundle|Rego) (?:still )?wants?\b/,
    example: 'Policy wants more before this is allowed.',
    better: 'requires',
  },
  { idiom: /\bstands? in the way\b/, example: 'what stands in the way', better: 'blocks' },
  {
    idiom: /\bstands? beside\b/,
    example: 'must not stand beside jwks_uri',
    better: 'together with, as well',
  },
  { idiom: /\blies? beside\b/, example: 'What is readable lies beside it.', better: 'is kept beside' },
  { idiom: /\bworth nothing\b/, example: 'A copy is worth nothing.', better: 'of no use, cannot be used' },
  { idiom: /\bin vain\b/, example: 'It asks in vain.', better: 'without effect' },
  { idiom: /\bheld against\b/, example: 'Callers are held against the list.', better: 'checked against' },
  { idiom: /\bmend(?:s|ed|ing)?\b/, example: 'how to mend it', better: 'fix, correct' },
  {
    idiom: /\bgiv(?:es?|ing) up power\b/,
    example: 'giving up power needs no grant',
    better: 'surrendering a credential',
  },
  {
    idiom: /\b(?:was|were|is) (?:ever |never )?seen here\b/,
    example: 'Nobody was seen here yet.',
    better: 'is known',
  },
  { idiom: /\bwhoever comes\b/, example: 'whoever comes with it is refused', better: 'if one appears' },
  { idiom: /\b(?:is|are|be|was) let in\b/, example: 'the job is let in again', better: 'is accepted' },
  { idiom: /\bcomes? to (?:its|their|an) end\b/, example: 'It comes to its end.', better: 'completes, ends' },
  { idiom: /\bwould come to\b/, example: 'what an exchange would come to', better: 'would result in' },
  { idiom: /\bas (?:it is )?told\b/, example: 'Every step came out as told.', better: 'as expected' },
  {
    idiom: /\bfor want of\b/,
    example: 'refused for want of a sign-in',
    better: 'without, because there is no',
  },
];
