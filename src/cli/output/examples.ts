import type { Command } from 'commander';

/** The examples of commands that have no longer help of their own, by the words of the command. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  'accept-clock': ['countersign accept-clock --reason "the clock was set back by an hour, and is right now"'],
  'accept-restore': [
    'countersign accept-restore --reason "the disk failed; last night\'s copy is the newest"',
  ],
  relays: ['countersign relays', 'countersign relays --json'],
  backup: [
    'countersign backup /backups/countersign-2026-11-30.db',
    'countersign backup --force --json /backups/newest.db',
  ],
  archive: ['countersign archive --older-than 365d --dry-run', 'countersign archive --older-than 365d'],
  migrate: [
    'countersign migrate --config /etc/countersign/countersign.yaml',
    'countersign migrate --database postgres://countersign_owner@db.example.com/countersign --grant-to countersign',
  ],
  'store copy': [
    'countersign store copy --from countersign.db --to postgres://countersign@db.example.com/countersign',
  ],
  'store reopen': ['countersign store reopen countersign.db'],
  login: ['countersign login', 'countersign login --mfa', 'countersign login --device'],
  logout: ['countersign logout'],
  whoami: ['countersign whoami'],
  'profiles list': ['countersign profiles list'],
  'profiles use': ['countersign profiles use alex'],
  'profiles remove': ['countersign profiles remove alex'],
  'sessions list': ['countersign sessions list'],
  'sessions end': ['countersign sessions end ID'],
  propose: [
    'countersign propose --environment production --enable new-nav --reason "release 2026.11" --ticket PAY-1',
    'countersign propose --plan --environment production --enable new-nav --reason "release 2026.11"',
    'countersign propose --file change.yaml --wait --timeout 2h',
    'countersign propose --file change.yaml --wait=served --timeout 5m',
  ],
  erase: [
    'countersign erase emp-1001 --dry-run',
    'countersign erase emp-1001 --reason "request 17 to the data protection officer"',
  ],
  edit: ['countersign edit ID --ticket PAY-1'],
  show: ['countersign show ID'],
  list: ['countersign list --state open', 'countersign list --flag new-nav --all --json'],
  organizations: [
    'countersign organizations --environment production --search acme',
    'countersign organizations acme --environment production --changes',
  ],
  preview: ['countersign preview ID --organization acme --organization globex'],
  'audit summary': ['countersign audit summary'],
  comments: ['countersign comments ID'],
  comment: ['countersign comment ID --text "acme agreed by mail"'],
  'request-changes': ['countersign request-changes ID --text "not for globex"'],
  inbox: ['countersign inbox', 'countersign inbox --part own --json'],
  apply: ['countersign apply ID'],
  withdraw: ['countersign withdraw ID'],
  rebase: ['countersign rebase ID'],
  schedule: [
    'countersign schedule ID --start 2026-11-21T09:00:00+01:00',
    'countersign schedule ID --start next_window',
  ],
  approve: ['countersign approve ID', 'countersign approve ID --digest sha256:… --comment "as discussed"'],
  reject: ['countersign reject ID --comment "not before the audit"'],
  freeze: [
    'countersign freeze --incident INC-7 --reason "checkout fails"',
    'countersign freeze --namespace payments --environment production --incident INC-7 --reason "checkout fails"',
    'countersign freeze --list',
  ],
  lift: ['countersign lift ID --reason "the incident is over"'],
  'break-glass open': ['countersign break-glass open --incident INC-7 --reason "checkout fails"'],
  'break-glass apply': ['countersign break-glass apply ID --environment production --disable new-nav'],
  'break-glass close': ['countersign break-glass close ID'],
  'break-glass list': ['countersign break-glass list'],
  revoke: ['countersign revoke subject emp-1002 --incident INC-7 --reason "a laptop was stolen"'],
  'revocations list': ['countersign revocations list'],
  'revocations show': ['countersign revocations show ID'],
  'revocations lift': ['countersign revocations lift ID --reason "the laptop was found"'],
  'drill revocation': ['countersign drill revocation'],
  flags: [
    'countersign flags --environment production',
    'countersign flags new-nav',
    'countersign flags new-nav --environment production --history',
  ],
  decisions: ['countersign decisions --from 2026-11-01', 'countersign decisions ID'],
  'access list': [
    'countersign access list --capability approve --environment production',
    'countersign access list --unused',
  ],
  'agents delegate': ['countersign agents delegate coding-agent'],
  'audit key': ['countersign audit key > log.key'],
  'keys list': ['countersign keys list'],
  'keys rotate': ['countersign keys rotate'],
  'policy hash': ['countersign policy hash bundle.tar.gz'],
  'policy show': ['countersign policy show'],
  'policy bundles': ['countersign policy bundles'],
  'policy download': ['countersign policy download --output active.tar.gz'],
  'policy upload': ['countersign policy upload bundle.tar.gz'],
  'policy propose': ['countersign policy propose bundle.tar.gz --reason "sam joins the approvers"'],
  'policy activate': ['countersign policy activate sha256:… --reason "back to what worked"'],
  'policy history': ['countersign policy history'],
  'policy add-binding': [
    'countersign policy add-binding --group leads --role flag-approver --namespace payments --environment \'*\' --reason "leads approve"',
  ],
  'policy remove-binding': [
    'countersign policy remove-binding --group leads --role flag-approver --namespace payments --environment \'*\' --reason "not any more"',
  ],
  'policy add-trust-rule': [
    'countersign policy add-trust-rule web-deploy --file rule.yaml --reason "a new repository"',
  ],
  'policy add-window': [
    'countersign policy add-window nights --zone Europe/Berlin --days 1-5 --start 22:00 --end 02:00 --reason "night shift"',
  ],
  'policy set': [
    'countersign policy set /config/limits/request_ttl_s 86400 --reason "requests expire after a day"',
  ],
  'policy unset': ['countersign policy unset /config/windows/nights --reason "no night shift"'],
  'policy recover': ['countersign policy recover bundle.tar.gz --reason "nobody can propose any more"'],
  'trust test': ['countersign trust test --token token.jwt'],
  'trust lint': ['countersign trust lint --bundle bundle.tar.gz'],
  'completion bash': ['source <(countersign completion bash)'],
  'completion zsh': ['source <(countersign completion zsh)'],
  'completion fish': ['countersign completion fish > ~/.config/fish/completions/countersign.fish'],
};

/** Adds its examples to the help of each command. */
export function addExamples(command: Command, words: readonly string[] = []): void {
  const examples = EXAMPLES[words.join(' ')];
  if (examples !== undefined) {
    const title = examples.length === 1 ? 'Example:' : 'Examples:';
    command.addHelpText('after', ['', title, ...examples.map((line) => `  ${line}`)].join('\n'));
  }
  for (const inner of command.commands) addExamples(inner, [...words, inner.name()]);
}
