import type { RevocationView } from '../../../revocation/view.ts';

type Kind = RevocationView['kind'];

/** The kinds of things that are revoked, with how each is named. */
export const KIND_WORDS: Readonly<Record<Kind, { name: string; hint: string }>> = {
  subject: {
    name: 'Person or principal',
    hint: 'As they sign in, such as emp-1001: with all their accounts, jobs and agents. Or the id of one principal.',
  },
  trust_rule: {
    name: 'Trust rule',
    hint: 'The name of the rule by which a pipeline or service gets its tokens.',
  },
  class: { name: 'Class', hint: 'All of a kind. They get in again with what is issued from now on.' },
  token: { name: 'Token', hint: 'The id of a token, such as jti:…; never the token itself.' },
  session: { name: 'Session', hint: 'The id of a browser session.' },
  issuer: { name: 'Issuer', hint: 'The address of an identity provider of people.' },
  key: { name: 'Signing key', hint: 'The id of a key of this broker. It gets a new one at once.' },
};

/** The kinds in the order of how often they are wanted. */
export const KINDS = Object.keys(KIND_WORDS) as Kind[];

/** What can be revoked as a class. */
export const CLASS_OPTIONS = [
  ['workload', 'all pipelines and services'],
  ['agent', 'all agents'],
  ['person', 'all people'],
  ['all', 'everybody'],
] as const;
