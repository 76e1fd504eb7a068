/*
 * A proposal as somebody types it, and as it is sent. What cannot be sent yet is said where it is typed; everything else is
 * left to the broker, which says what is wrong with it by the same pointers.
 */

/** What can be done to a flag. */
export const ACTIONS = [
  ['enable', 'Turn on'],
  ['disable', 'Turn off'],
  ['set_audience', 'Choose who sees it'],
  ['set_rollout', 'Set shares'],
  ['return_to_version', 'Return to a version'],
  ['create', 'Create a new flag'],
  ['retire', 'Retire'],
] as const;
export type Action = (typeof ACTIONS)[number][0];

/** One change, with what was typed for each of its actions. */
export interface TypedChange {
  id: number;
  action: Action;
  flag: string;
  audience: 'all' | 'none' | 'some';
  organizations: string;
  /** Shares in percent, by variant. */
  shares: { variant: string; percent: string }[];
  version: string;
  namespace: string;
  kind: 'release' | 'entitlement' | 'operational' | 'experiment';
  tier: 'informational' | 'operational' | 'sensitive' | 'high-risk';
  owner: string;
  purpose: string;
  retirement: string;
  contract: string;
  expires: string;
}

/** A whole proposal. */
export interface TypedProposal {
  environment: string;
  changes: TypedChange[];
  reason: string;
  ticket: string;
  apply: 'auto' | 'manual';
}

/** A change that nothing was typed for. */
export function newChange(id: number, flag = ''): TypedChange {
  return {
    id,
    action: flag === '' ? 'create' : 'enable',
    flag,
    audience: 'some',
    organizations: '',
    shares: [
      { variant: 'on', percent: '10' },
      { variant: 'off', percent: '90' },
    ],
    version: '',
    namespace: '',
    kind: 'release',
    tier: 'operational',
    owner: '',
    purpose: '',
    retirement: '',
    contract: '',
    expires: '',
  };
}

/** The names in a list that is separated by commas, spaces or lines. */
export function namesIn(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((name) => name !== ''))];
}

/** The users who see a flag by exception now, by flag: what the form does not show, it keeps. */
export type UsersOf = ReadonlyMap<string, readonly unknown[]>;

/** The body of the proposal. */
export function toContent({ environment, changes, reason, ticket, apply }: TypedProposal, usersOf: UsersOf) {
  return {
    kind: 'flag.change' as const,
    environment,
    changes: changes.map((change) => toChange(change, usersOf)),
    reason,
    ticket: ticket.trim() === '' ? null : ticket.trim(),
    apply,
    start_ms: null,
  };
}

function toChange(typed: TypedChange, usersOf: UsersOf): Record<string, unknown> {
  const { action, flag } = typed;
  switch (action) {
    case 'set_audience':
      return {
        action,
        flag,
        audience:
          typed.audience === 'some'
            ? { kind: 'some', organizations: namesIn(typed.organizations), users: usersOf.get(flag) ?? [] }
            : { kind: typed.audience },
      };
    case 'set_rollout':
      return {
        action,
        flag,
        rollout: typed.shares.map(({ variant, percent }) => ({ variant, percent: Number(percent) })),
      };
    case 'return_to_version':
      return { action, flag, version: Number(typed.version) };
    case 'create':
      return {
        action,
        flag,
        definition: {
          namespace: typed.namespace,
          kind: typed.kind,
          tier: typed.tier,
          owner: typed.owner,
          purpose: typed.purpose,
          variants: { on: true, off: false },
          retirement: typed.retirement,
          ...(typed.contract === '' ? {} : { contract: typed.contract }),
          ...(typed.expires === '' ? {} : { expires: typed.expires }),
        },
      };
    default:
      return { action, flag };
  }
}

/** Whether so much is typed that the broker can say what it would do. */
export function isAskable({ environment, changes }: TypedProposal): boolean {
  return environment !== '' && changes.length > 0 && changes.every(isWhole);
}

function isWhole(change: TypedChange): boolean {
  if (change.flag === '') return false;
  if (change.action === 'return_to_version') return /^[1-9]\d*$/.test(change.version);
  if (change.action === 'create') {
    return [change.namespace, change.owner, change.purpose, change.retirement].every((text) => text !== '');
  }
  return true;
}

/** The share that is missing to a hundred percent. */
export function missingShare(shares: TypedChange['shares']): number {
  const sum = shares.reduce((total, { percent }) => total + (Number(percent) || 0), 0);
  return Math.round((100 - sum) * 1000) / 1000;
}
