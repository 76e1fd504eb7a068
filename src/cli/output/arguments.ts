import type { Command } from 'commander';

/** What arguments are, by their names. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  id: 'the id of the request',
  session: 'the id of the break-glass session, as break-glass list shows it',
  freeze: 'the id of the freeze, as freeze --list shows it',
  decision: 'the id of the decision, as decisions shows it',
  key: 'the key of the flag',
  kind: 'what is revoked: token, session, subject, trust-rule, issuer, class or key',
  value: 'which one; - reads a token from standard input',
  file: 'the bundle: a file or a folder',
  bundle: 'the bundle: a file or a folder',
  hash: 'the hash of a stored policy, as policy bundles shows it',
  digest: 'the digest of the report, as the request names it',
  policy: 'a bundle, a folder, or the hash of a stored policy',
  other: 'the policy to compare with, in the same forms',
  path: 'the place in the data, as a JSON Pointer such as /config/limits/request_ttl_s',
  json: 'its value, as JSON',
};

/** Arguments of single commands, where the name alone says something else. */
const OF_COMMANDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  init: { folder: 'the folder for the set-up, which is created' },
  'policy init': { folder: 'the folder for the project, which is created' },
  'policy check': { path: 'the folder of the project, or a bundle' },
  'policy test': { folder: 'the folder of the project' },
  'policy build': { folder: 'the folder of the project' },
  'policy add-trust-rule': { name: 'the name of the rule' },
  'policy add-window': { name: 'the name of the window' },
  'sessions end': { id: 'the id of the session, as sessions list shows it' },
  'revocations show': { id: 'the id of the revocation, as revocations list shows it' },
  'revocations lift': { id: 'the id of the revocation, as revocations list shows it' },
  'audit proof': { decision: 'the id of the decision, as decisions shows it, or the place of its record' },
  'audit verify-proof': { file: 'the proof file; - reads standard input' },
  verify: { log: 'a folder or an address with a published log; without it, the log of the broker' },
  decisions: { id: 'the id of one decision, to show it in full' },
  explain: { id: 'the id of a decision or of a request' },
};

/** Says what the arguments of each command are, unless the command says it itself. */
export function describeArguments(command: Command, words: readonly string[] = []): void {
  for (const argument of command.registeredArguments) {
    argument.description ||=
      OF_COMMANDS[words.join(' ')]?.[argument.name()] ?? ARGUMENTS[argument.name()] ?? '';
  }
  for (const inner of command.commands) describeArguments(inner, [...words, inner.name()]);
}
