import type { InputChange } from '../../flags/change-facts.ts';
import type { Audience, FlagState, Rollout } from '../../flags/model.ts';

/*
 * Changes in the words of whoever is responsible for a product: what happens to whom. Everything here derives from what the
 * broker computed about the change, and nothing from what its author wrote about it.
 */

/** How many names a sentence lists before it counts the others. */
const MOST_NAMES = 5;

/** The changes of a request to one part of one flag, in their order, as one: what was before the first, and is after the last. */
export interface FoldedChange {
  change: InputChange;
  steps: readonly InputChange[];
}

/** Folds the changes of a request: several steps of one flag together do something else than each of them. */
export function folded(changes: readonly InputChange[]): FoldedChange[] {
  const groups = Map.groupBy(changes, ({ flag, facts, action }) =>
    JSON.stringify([flag.key, facts.scope, action === 'create' || action === 'retire' ? action : '']),
  );
  return [...groups.values()].flatMap((steps) => {
    const [first, last] = [steps[0], steps.at(-1)];
    if (first === undefined || last === undefined) return [];
    return [{ steps, change: { ...last, before: first.before } }];
  });
}

/** What one change does, as a sentence without a full stop. @param environment null for a change of a definition */
export function changeInWords(change: InputChange, environment: string | null): string {
  const { action, before, after, facts } = change;
  const flag = change.flag.key;
  if (action === 'create') return `Creates ${flag}, switched off in every environment`;
  if (action === 'retire') return `Retires ${flag} in every environment, for ever`;
  if (facts.scope === 'definition') {
    const names = changedMembers(before, after);
    return `Changes what ${flag} is in every environment: ${listed(names.map(memberInWords))}`;
  }
  const place = environment === null ? '' : ` in ${environment}`;
  const back = facts.returns_to === null ? '' : `, as in version ${facts.returns_to}`;
  return `${stateChange(flag, place, before as FlagState | null, after as FlagState)}${back}`;
}

function stateChange(flag: string, place: string, before: FlagState | null, after: FlagState): string {
  const wasOn = before?.enabled === true;
  if (!wasOn && after.enabled) return `Turns on ${flag}${place} for ${whoSees(after)}`;
  if (wasOn && !after.enabled) return `Turns off ${flag}${place} for ${whoSees(before)}`;
  const parts = [
    ...audienceParts(before?.audience ?? null, after.audience),
    ...rolloutParts(before?.rollout ?? null, after.rollout),
    ...(before !== null && before.default_variant !== after.default_variant
      ? [`serves ${after.default_variant} in place of ${before.default_variant}`]
      : []),
    ...rulesParts(before?.rules ?? [], after.rules),
  ];
  const off = after.enabled ? '' : ' (it stays switched off)';
  if (parts.length > 0) return `Changes ${flag}${place}: ${parts.join('; ')}${off}`;
  // Only what is wholly equal changes nothing. Of anything else, at least the part is named.
  const names = changedMembers(before, after);
  return names.length === 0
    ? `Changes nothing that is served by ${flag}${place}${off}`
    : `Changes ${flag}${place}: ${listed(names.map(memberInWords))}${off}`;
}

/** Who sees a flag in that state, and which part of them. */
export function whoSees({ audience, rollout, rules }: FlagState): string {
  const who = audienceInWords(audience);
  const share = rollout === null ? '' : `, ${sharesInWords(rollout)}`;
  return `${who}${share}${rules.length === 0 ? '' : `, with ${counted(rules.length, 'rule')}`}`;
}

/** An audience, with the first names. */
export function audienceInWords(audience: Audience): string {
  if (audience.kind === 'all') return 'everybody';
  if (audience.kind === 'none') return 'nobody';
  const { organizations, users } = audience;
  const named = [
    ...(organizations.length === 0
      ? []
      : [`${counted(organizations.length, 'organization')}: ${listed(organizations)}`]),
    ...(users.length === 0 ? [] : [`${counted(users.length, 'user')} by exception`]),
  ];
  return named.length === 0 ? 'nobody' : named.join(', and ');
}

/** The shares of a rollout. */
export function sharesInWords(rollout: Rollout): string {
  return rollout.map(({ variant, percent }) => `${percent} % of organizations get ${variant}`).join(', ');
}

function audienceParts(before: Audience | null, after: Audience): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (before?.kind !== 'some' || after.kind !== 'some') {
    return [
      `for ${audienceInWords(after)}${before === null ? '' : ` in place of ${audienceInWords(before)}`}`,
    ];
  }
  const added = after.organizations.filter((each) => !before.organizations.includes(each));
  const removed = before.organizations.filter((each) => !after.organizations.includes(each));
  const usersBefore = before.users.map(({ id }) => id);
  const usersAfter = after.users.map(({ id }) => id);
  const addedUsers = usersAfter.filter((id) => !usersBefore.includes(id));
  const removedUsers = usersBefore.filter((id) => !usersAfter.includes(id));
  const exceptionOf = ({ users }: typeof before, id: string) =>
    JSON.stringify(users.find((user) => user.id === id)?.exception);
  const others = usersAfter.filter(
    (id) => usersBefore.includes(id) && exceptionOf(before, id) !== exceptionOf(after, id),
  );
  return [
    ...(added.length === 0 ? [] : [`adds ${counted(added.length, 'organization')}: ${listed(added)}`]),
    ...(removed.length === 0
      ? []
      : [`removes ${counted(removed.length, 'organization')}: ${listed(removed)}`]),
    ...(addedUsers.length === 0 ? [] : [`adds ${counted(addedUsers.length, 'user')}: ${listed(addedUsers)}`]),
    ...(removedUsers.length === 0
      ? []
      : [`removes ${counted(removedUsers.length, 'user')}: ${listed(removedUsers)}`]),
    ...(others.length === 0
      ? []
      : [`changes the exception of ${counted(others.length, 'user')}: ${listed(others)}`]),
  ];
}

function rulesParts(before: FlagState['rules'], after: FlagState['rules']): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  return [
    before.length === after.length
      ? `changes its ${counted(after.length, 'rule')}`
      : `has ${counted(after.length, 'rule')} in place of ${before.length}`,
  ];
}

function rolloutParts(before: Rollout | null, after: Rollout | null): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (after === null) return ['no shares any more: everybody in the audience gets the same'];
  if (before === null) return [sharesInWords(after)];
  const shareOf = (rollout: Rollout, variant: string) =>
    rollout.filter((each) => each.variant === variant).reduce((sum, each) => sum + each.percent, 0);
  const variants = [...new Set([...before, ...after].map(({ variant }) => variant))];
  const shares = variants
    .filter((variant) => shareOf(before, variant) !== shareOf(after, variant))
    .map(
      (variant) =>
        `${shareOf(before, variant)} % → ${shareOf(after, variant)} % of organizations get ${variant}`,
    );
  // The order assigns organizations: in another order, equal shares are of others.
  const orderOf = (rollout: Rollout, other: Rollout) =>
    rollout.map(({ variant }) => variant).filter((name) => other.some(({ variant }) => variant === name));
  const [was, is] = [orderOf(before, after).join(', '), orderOf(after, before).join(', ')];
  if (was === is && shares.length > 0) return shares;
  return [
    ...shares,
    was === is
      ? `the shares of ${listed(orderOf(after, before))} are of other organizations`
      : `the shares are in the order ${is} in place of ${was}, so organizations get another variant`,
  ];
}

function changedMembers(before: unknown, after: unknown): string[] {
  const [one, other] = [(before ?? {}) as Record<string, unknown>, (after ?? {}) as Record<string, unknown>];
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].filter(
    (name) => JSON.stringify(one[name]) !== JSON.stringify(other[name]),
  );
}

/** The name of a member of a document, as words. */
export function memberInWords(name: string): string {
  return name.replace(/_ms$/, '').replaceAll('_', ' ');
}

/** A number with its noun. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** The first names, and how many more there are. */
export function listed(names: readonly string[], most = MOST_NAMES): string {
  if (names.length <= most) return names.join(', ');
  return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
}
