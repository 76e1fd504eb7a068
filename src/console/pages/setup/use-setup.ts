import { useQuery } from '@tanstack/react-query';
import { api } from '../../api/api.ts';
import { Fault } from '../../api/fault.ts';
import { environments } from '../../api/queries.ts';
import { useSession } from '../../app/session.tsx';
import { ROLES } from './roles.ts';
import type { StepState } from './step.tsx';

/** The bindings of a policy, as far as this page reads them. */
type Bindings = Readonly<Record<string, readonly { roles?: readonly string[] }[]>>;
interface RoleBindings {
  groups?: Readonly<Record<string, Bindings>>;
  claims?: Readonly<Record<string, Bindings>>;
  principals?: Bindings;
}

/** Hosts that examples name, and nobody has. RFC 2606 */
const EXAMPLE = /(^|\.)example(\.(com|net|org))?$/;

/** What there is, as far as the person may read it. */
export function useSetup() {
  const { principal } = useSession();
  const known = useQuery({ ...environments, retry: false });
  const [first] = known.data ?? [];
  const flags = useQuery({
    queryKey: ['flags', 'any', first],
    queryFn: ({ signal }) => api('listFlags', { query: { environment: first ?? '', limit: 1 }, signal }),
    enabled: first !== undefined,
    retry: false,
  });
  const policy = useQuery({
    queryKey: ['policy', 'data'],
    queryFn: ({ signal }) => api('getPolicyData', { signal }),
    retry: false,
  });
  const bindings = policy.data?.data.config.role_bindings as RoleBindings | undefined;
  const roles = policy.data === undefined ? null : holdersOf(bindings);
  const missing = ROLES.map(({ role }) => role).filter((role) => roles !== null && !roles.has(role));
  const strangers = examplesIn(bindings);
  return {
    isPending: known.isPending || policy.isPending || (first !== undefined && flags.isPending),
    error:
      [known.error, flags.error, policy.error].find((error) => error !== null && !isDenied(error)) ?? null,
    environments: known.data ?? [],
    signIn: (principal.person === null || principal.groups.length === 0 ? 'todo' : 'done') as StepState,
    role: (first === undefined ? 'todo' : 'done') as StepState,
    holders: (roles === null
      ? 'unknown'
      : missing.length > 0 || strangers.length > 0
        ? 'todo'
        : 'done') as StepState,
    flag: (flags.data === undefined
      ? 'unknown'
      : flags.data.items.length === 0
        ? 'todo'
        : 'done') as StepState,
    roles,
    missing,
    strangers,
  };
}

/** That the person may not read something is no fault of the page: it says what it cannot know. */
function isDenied(error: unknown): boolean {
  return error instanceof Fault && error.status === 403;
}

/** What holds each role, but for the broker's own principals. */
function holdersOf(bindings: RoleBindings | undefined): Map<string, string[]> {
  const holders = new Map<string, string[]>();
  const tables = [bindings?.groups, bindings?.claims].flatMap((byIssuer) => Object.values(byIssuer ?? {}));
  for (const table of [...tables, bindings?.principals ?? {}]) {
    for (const [name, rows] of Object.entries(table)) {
      for (const role of rows.flatMap((row) => row.roles ?? [])) {
        holders.set(role, [...new Set([...(holders.get(role) ?? []), name])]);
      }
    }
  }
  return holders;
}

function examplesIn(bindings: RoleBindings | undefined): string[] {
  const issuers = [...Object.keys(bindings?.groups ?? {}), ...Object.keys(bindings?.claims ?? {})];
  return issuers.filter((issuer) => URL.canParse(issuer) && EXAMPLE.test(new URL(issuer).hostname));
}
