import { BundleError } from './bundle-error.ts';
import type { Policy } from './policies.ts';

/** An issuer of people, as configured. */
interface Issuer {
  key: string;
  issuer: string;
}

/** What people must be able to do, so that anything can ever change. */
const NEEDED = ['propose', 'approve'] as const;

/**
 * What nobody could do who signs in at the configured issuers, because the policy's data has no binding for any of them.
 *
 * @returns `propose`, `approve` or both; nothing where no issuer is configured, or the bundle does not tell its bindings
 */
export function boundToNobody(policy: Pick<Policy, 'access'>, issuers: readonly Issuer[]): readonly string[] {
  const answer = issuers.length === 0 ? null : policy.access([]);
  if (answer === null) return [];
  const own = answer.bindings.filter(({ by, issuer, key }) =>
    issuers.some((each) =>
      by === 'principal' ? key.startsWith(`person:${each.key}:`) : issuer !== null && issuer === each.issuer,
    ),
  );
  const held = new Set<string>(own.flatMap(({ capabilities }) => capabilities));
  return NEEDED.filter((capability) => !held.has(capability));
}

/** The sentence about it for everybody: it names neither bindings nor issuers. */
export function nobodyCould(lacking: readonly string[]): string {
  return `The active policy has no role binding by which somebody who signs in at a configured issuer could ${lacking.join(' or ')}.`;
}

/** Refuses a first policy under which nobody could do anything. The message is for the operator. */
export function assertBoundToSomebody(policy: Pick<Policy, 'access'>, issuers: readonly Issuer[]): void {
  const lacking = boundToNobody(policy, issuers);
  if (lacking.length === 0) return;
  const bindings = policy.access([])?.bindings ?? [];
  const bound = [...new Set(bindings.flatMap(({ issuer }) => (issuer === null ? [] : [issuer])))];
  throw new BundleError(
    [
      `nobody could ${lacking.join(' or ')} under this policy: its role bindings name none of the configured issuers with such a role.`,
      `configured: ${issuers.map(({ issuer }) => issuer).join(', ')}`,
      `in the policy's bindings: ${bound.join(', ') || 'no issuer'}`,
      'Correct `issuers` of the configuration, or config/role_bindings of the bundle; the texts must be equal, also in a slash at the end.',
      'To begin with a set-up that fits, run: countersign init. To start nevertheless: countersign serve --force',
    ].join('\n'),
  );
}
