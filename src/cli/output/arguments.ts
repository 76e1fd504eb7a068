import type { Command } from 'commander';

const REQUEST = { id: 'the id of the request, or its beginning' };
const REVOCATION = { id: 'the id of the revocation, as revocations list shows it' };
const SESSION = { session: 'the id of the break-glass session, as break-glass list shows it' };
const DECISION = { decision: 'the id of the decision, as decisions shows it' };
const PROJECT = { folder: 'the folder of the project' };
const BUNDLE = 'the bundle: a file or a folder';
const STORED = { hash: 'the hash of a stored policy, as policy bundles shows it' };
const POLICY = 'a bundle, a folder, or the hash of a stored policy';
const PLACE = 'the place in the data, as a JSON Pointer such as /config/limits/request_ttl_s';

/** What the arguments of commands are, unless the command says it itself. */
const ARGUMENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  init: { folder: 'the folder for the set-up, which is created' },
  backup: { file: 'the file for the copy' },
  'store reopen': { file: 'the database file that was copied' },
  'sessions end': { id: 'the id of the session, as sessions list shows it' },
  'audit proof': { decision: 'the id of the decision, as decisions shows it, or the place of its record' },
  'audit verify-proof': { file: 'the proof file; - reads standard input' },
  verify: { log: 'a folder or an address with a published log; without it, the log of the broker' },
  'verify-snapshot': {
    place: `where snapshots are published, by environment; or the file latest.json of one`,
  },
  edit: REQUEST,
  show: REQUEST,
  apply: REQUEST,
  withdraw: REQUEST,
  rebase: REQUEST,
  schedule: REQUEST,
  organizations: { name: 'the name of one organization' },
  preview: REQUEST,
  comments: REQUEST,
  comment: REQUEST,
  'request-changes': REQUEST,
  approve: REQUEST,
  reject: REQUEST,
  lift: { freeze: 'the id of the freeze, as freeze --list shows it' },
  'break-glass apply': SESSION,
  'break-glass close': SESSION,
  revoke: {
    kind: 'what is revoked: token, session, subject, trust-rule, issuer, class or key',
    value: 'which one; - reads a token from standard input',
  },
  'revocations show': REVOCATION,
  'revocations lift': REVOCATION,
  erase: { person: 'the name of the person, or with --pseudonym the pseudonym' },
  flags: { key: 'the key of one flag, to show it' },
  decisions: { id: 'the id of one decision, to show it in full' },
  explain: { id: 'the id of a decision or of a request' },
  replay: DECISION,
  'policy init': { folder: 'the folder for the project, which is created' },
  'policy check': { path: 'the folder of the project, or a bundle' },
  'policy test': PROJECT,
  'policy build': PROJECT,
  'policy hash': { file: BUNDLE },
  'policy upload': { file: BUNDLE },
  'policy propose': { file: BUNDLE },
  'policy recover': { bundle: BUNDLE },
  'policy download': STORED,
  'policy activate': STORED,
  'policy diff': {
    policy: `${POLICY}, or the id of a request`,
    other: 'the bundle to compare the first one with',
  },
  'policy backtest': { policy: POLICY },
  'policy report': { digest: 'the digest of the report, as the request names it' },
  'policy case': DECISION,
  'policy add-trust-rule': { name: 'the name of the rule' },
  'policy add-window': { name: 'the name of the window' },
  'policy set': { path: PLACE, json: 'its value, as JSON' },
  'policy unset': { path: PLACE },
};

/** Says what the arguments of each command are. */
export function describeArguments(command: Command, words: readonly string[] = []): void {
  for (const argument of command.registeredArguments)
    argument.description ||= ARGUMENTS[words.join(' ')]?.[argument.name()] ?? '';
  for (const inner of command.commands) describeArguments(inner, [...words, inner.name()]);
}
