import { table } from './text.ts';

/** Environment variables of the command line, in the order of the help. docs/configuration.md is generated from them. */
export const VARIABLES: readonly { name: string; says: string }[] = [
  {
    name: 'COUNTERSIGN_URL',
    says: "the broker; default `http://127.0.0.1:8480`. It must be the broker's `public_url`: proofs of possession name it",
  },
  {
    name: 'COUNTERSIGN_PROFILE',
    says: 'the profile whose sign-in is used, where `--profile` names none',
  },
  { name: 'COUNTERSIGN_TOKEN', says: 'a token, used as it is' },
  {
    name: 'COUNTERSIGN_AUDIENCE',
    says: 'the audience that a GitHub Actions job asks for, as its trust rule names it; default `countersign`',
  },
  {
    name: 'COUNTERSIGN_SUBJECT_TOKEN',
    says: "a platform's token, such as a GitLab `id_token`, exchanged at the broker",
  },
  { name: 'COUNTERSIGN_SUBJECT_TOKEN_FILE', says: 'a file with such a token' },
  {
    name: 'COUNTERSIGN_DELEGATION_TOKEN',
    says: 'for an agent, besides its platform token: the delegation of the person it acts for',
  },
  { name: 'COUNTERSIGN_DELEGATION_TOKEN_FILE', says: 'a file with such a delegation' },
  {
    name: 'COUNTERSIGN_STEP_UP',
    says: 'how to sign in again where a stronger sign-in is required: `browser`, `device` or `never`',
  },
];

/** The width of the help where nobody says another one. */
const HELP_COLUMNS = 120;

/** The help text for environment variables. */
export function variablesHelp(): string {
  const rows = VARIABLES.map(({ name, says }) => [`  ${name}`, says.replaceAll('`', '')]);
  return `${table(['Environment variables:', ''], rows, HELP_COLUMNS)}\n`;
}
