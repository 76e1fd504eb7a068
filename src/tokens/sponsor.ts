import { actorsOf, MAX_ACTORS } from '../identity/act.ts';
import { credentialOf, sinceSignIn } from '../identity/authenticate.ts';
import type { CredentialOrigin } from '../identity/credential.ts';
import { personPrincipal } from '../identity/person.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm, type TokenForm } from '../identity/token-form.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import type { Principal } from '../principal.ts';
import { isDelegation, mayActSchema, originOf, verifyDelegation } from './delegation.ts';
import { verifyPersonToken } from './person-token.ts';
import type { SubjectDeps } from './subject.ts';

/** The dependencies of verifying a sponsor's token. */
export interface SponsorDeps extends SubjectDeps {
  signingKeys: SigningKeys;
}

/** The person whom an agent acts for, as stated by their token, and the limits of the agent. */
export interface Sponsor extends Pick<Principal, 'issuer' | 'groups' | 'claims'> {
  person: string;
  /** The authorized actor: `sub` names a trust rule if `iss` is the broker, otherwise the agent at its platform. */
  mayAct: { iss?: string | undefined; sub: string };
  /** The previous actors, newest first. */
  actors: string[];
  /** The operations that they allow; null for everything that the agent's trust rule grants. */
  operations: readonly string[] | null;
  origins: CredentialOrigin[];
  /** Seconds since the epoch. */
  exp: number;
}

/**
 * Verifies the subject token of a delegated exchange: a delegation token of the broker, or an ID token with `may_act`.
 * A person's token without `may_act` is not sufficient, because it authorizes no agent.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 * @see RFC 8693 sections 1.1 and 4.4
 */
export async function verifySponsor(deps: SponsorDeps, token: string): Promise<Sponsor> {
  const form = parseTokenForm(token);
  return isDelegation(form) ? byDelegation(deps, token, form) : byIdToken(deps, token, form);
}

async function byDelegation(deps: SponsorDeps, token: string, form: TokenForm): Promise<Sponsor> {
  const claims = await verifyDelegation(deps, token, form);
  const own = originOf(credentialOf(form, claims, true), { id: claims.sub, kind: 'person' });
  return {
    person: claims.person,
    issuer: claims.subject_issuer,
    groups: claims.groups,
    claims: claims.claims,
    mayAct: claims.may_act,
    actors: [],
    operations: claims.scope.split(' '),
    origins: [own, ...claims.origins],
    exp: claims.exp,
  };
}

async function byIdToken(deps: SponsorDeps, token: string, form: TokenForm): Promise<Sponsor> {
  const { issuer, type, claims } = await verifyPersonToken(deps, token, form);
  const principal = personPrincipal(issuer, type, claims);
  if (principal.person === null) throw new TokenRefused('person_not_accepted');
  const mayAct = mayActSchema.safeParse(claims.may_act);
  if (!mayAct.success) throw new TokenRefused('actor_not_accepted', 'may_act', mayAct.error);
  const actors = actorsOf(claims.act);
  // The new agent adds one more actor.
  if (actors.length === MAX_ACTORS) throw new TokenRefused('claim_shape', 'act');
  return {
    person: principal.person,
    issuer: principal.issuer,
    groups: principal.groups,
    claims: principal.claims,
    mayAct: mayAct.data,
    actors,
    operations: null,
    origins: [
      originOf(
        { ...credentialOf(form, claims, false), ...sinceSignIn(principal) },
        { id: principal.id, kind: 'person' },
      ),
    ],
    exp: claims.exp,
  };
}
