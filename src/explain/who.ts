import { z } from 'zod';
import type { ControlDeps } from '../decide/control.ts';
import { unknownPrincipal } from '../decide/names.ts';
import { foldPerson } from '../person-name.ts';
import type { Principal } from '../principal.ts';
import { listPrincipals } from '../store/principals.ts';

/** As whom a hypothetical question is asked. */
export const asSchema = z
  .union([
    z.strictObject({
      principal: z.string().min(1).max(512).meta({ description: "A known principal's id, or a person." }),
    }),
    z.strictObject({
      groups: z.array(z.string().min(1).max(512)).min(1).max(100),
      issuer: z.string().max(512).optional().meta({ description: 'Default: your own issuer.' }),
    }),
  ])
  .meta({
    id: 'AskedAs',
    description: 'Somebody known, with what they presented last, or a person with these groups.',
  });
export type As = z.infer<typeof asSchema>;

/** The person that stands for a set of groups. No principal has this id. */
const SOMEBODY = 'person:what-if';

/**
 * The principal as whom a question is asked; without `as`, the caller.
 *
 * @throws BrokerError `not_found` if nobody of that name is known
 */
export async function resolveAs(
  deps: ControlDeps,
  caller: Principal,
  as: As | undefined,
): Promise<Principal> {
  if (as === undefined) return caller;
  const nowMs = deps.clock();
  if ('groups' in as) {
    return {
      id: SOMEBODY,
      kind: 'person',
      person: SOMEBODY,
      issuer: as.issuer ?? caller.issuer,
      groups: as.groups,
      claims: {},
      auth: { level: 1, acr: null, amr: [], auth_time_ms: nowMs },
      token: controlToken(nowMs),
    };
  }
  const known = (await listPrincipals(deps.store.read)).toSorted((a, b) => b.last_seen_ms - a.last_seen_ms);
  const name = foldPerson(as.principal);
  const row =
    known.find(({ id }) => id === as.principal) ??
    known.find(({ kind, person }) => kind === 'person' && person !== null && foldPerson(person) === name);
  if (row === undefined) {
    throw unknownPrincipal(as.principal, known, '#/what_if/as/principal');
  }
  const principal = JSON.parse(row.principal) as Principal;
  // What somebody presented last is about who they are, not about a token that has expired since.
  return principal.kind === 'person' ? { ...principal, token: controlToken(nowMs) } : principal;
}

function controlToken(nowMs: number): Principal['token'] {
  return { audience: 'control', scope: [], sender_constrained: false, trust_rule: null, issued_ms: nowMs };
}
