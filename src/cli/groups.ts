import type { Command } from 'commander';
import type { Cli } from './cli.ts';

/*
 * The groups of commands. A group is loaded when one of its commands is called: most commands ask a broker and print the
 * answer, and would otherwise wait for all that the broker itself, the policy engine and the databases consist of.
 */

/** Adds the commands of a group. */
export type Register = (program: Command, cli: Cli) => void;

interface Group {
  /** Its commands. */
  names: readonly string[];
  load: () => Promise<Register>;
}

/** In the order of the help. */
export const GROUPS: readonly Group[] = [
  { names: ['init'], load: async () => (await import('./commands/init.ts')).registerInit },
  { names: ['serve'], load: async () => (await import('./commands/serve.ts')).registerServe },
  { names: ['relay'], load: async () => (await import('./commands/relay.ts')).registerRelay },
  { names: ['relays'], load: async () => (await import('./commands/relays.ts')).registerRelays },
  { names: ['backup'], load: async () => (await import('./commands/backup.ts')).registerBackup },
  { names: ['archive'], load: async () => (await import('./commands/archive.ts')).registerArchive },
  { names: ['migrate'], load: async () => (await import('./commands/migrate.ts')).registerMigrate },
  { names: ['store'], load: async () => (await import('./commands/store.ts')).registerStore },
  {
    names: ['accept-clock', 'accept-restore'],
    load: async () => (await import('./commands/operator.ts')).registerOperator,
  },
  { names: ['login'], load: async () => (await import('./commands/login.ts')).registerLogin },
  { names: ['logout'], load: async () => (await import('./commands/logout.ts')).registerLogout },
  { names: ['whoami'], load: async () => (await import('./commands/whoami.ts')).registerWhoami },
  { names: ['profiles'], load: async () => (await import('./commands/profiles.ts')).registerProfiles },
  { names: ['sessions'], load: async () => (await import('./commands/sessions.ts')).registerSessions },
  { names: ['propose', 'edit'], load: async () => (await import('./commands/propose.ts')).registerPropose },
  {
    names: ['show', 'list', 'apply', 'withdraw', 'rebase', 'schedule'],
    load: async () => (await import('./commands/requests.ts')).registerRequests,
  },
  {
    names: ['comments', 'comment', 'request-changes'],
    load: async () => (await import('./commands/comment.ts')).registerComments,
  },
  {
    names: ['organizations'],
    load: async () => (await import('./commands/organizations.ts')).registerOrganizations,
  },
  { names: ['preview'], load: async () => (await import('./commands/preview.ts')).registerPreview },
  { names: ['inbox'], load: async () => (await import('./commands/inbox.ts')).registerInbox },
  { names: ['approve', 'reject'], load: async () => (await import('./commands/vote.ts')).registerVotes },
  {
    names: ['freeze', 'lift', 'break-glass'],
    load: async () => (await import('./commands/emergency.ts')).registerEmergency,
  },
  {
    names: ['revoke', 'revocations'],
    load: async () => (await import('./commands/revocations.ts')).registerRevocations,
  },
  { names: ['drill'], load: async () => (await import('./commands/drill.ts')).registerDrill },
  { names: ['flags'], load: async () => (await import('./commands/flags.ts')).registerFlags },
  { names: ['decisions'], load: async () => (await import('./commands/decisions.ts')).registerDecisions },
  { names: ['replay'], load: async () => (await import('./commands/replay.ts')).registerReplay },
  { names: ['audit'], load: async () => (await import('./commands/audit.ts')).registerAudit },
  { names: ['erase'], load: async () => (await import('./commands/erase.ts')).registerErase },
  { names: ['publish'], load: async () => (await import('./commands/publish.ts')).registerPublish },
  { names: ['verify'], load: async () => (await import('./commands/verify.ts')).registerVerify },
  {
    names: ['verify-snapshot'],
    load: async () => (await import('./commands/verify-snapshot.ts')).registerVerifySnapshot,
  },
  { names: ['witness'], load: async () => (await import('./commands/witness.ts')).registerWitness },
  {
    names: ['explain', 'what-if'],
    load: async () => (await import('./commands/explain.ts')).registerExplain,
  },
  { names: ['access'], load: async () => (await import('./commands/access.ts')).registerAccess },
  { names: ['agents'], load: async () => (await import('./commands/agents.ts')).registerAgents },
  { names: ['keys'], load: async () => (await import('./commands/keys.ts')).registerKeys },
  { names: ['policy'], load: async () => (await import('./commands/policy.ts')).registerPolicy },
  { names: ['trust'], load: async () => (await import('./commands/trust.ts')).registerTrust },
  { names: ['token'], load: async () => (await import('./commands/token.ts')).registerToken },
  { names: ['completion'], load: async () => (await import('./commands/completion.ts')).registerCompletion },
];

/** Commands that say what there is. */
const SHOWS_ALL = new Set(['completion', 'help']);

/**
 * Loads what a command line may need: the group of its first word if that names one, otherwise all.
 *
 * @param words the words after the program's name; none for all groups
 */
export async function loadGroups(words: readonly string[] = []): Promise<readonly Register[]> {
  const [first = ''] = words;
  const group = SHOWS_ALL.has(first) ? undefined : GROUPS.find(({ names }) => names.includes(first));
  return Promise.all((group === undefined ? GROUPS : [group]).map(({ load }) => load()));
}
