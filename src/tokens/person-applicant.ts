import { credentialOf, sinceSignIn } from '../identity/authenticate.ts';
import { MAX_ISSUED_LIFE_S } from '../identity/issued-token.ts';
import { assertOwnToken, personPrincipal } from '../identity/person.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { parseTokenForm } from '../identity/token-form.ts';
import type { Principal } from '../principal.ts';
import type { PersonApplicant } from './applicant.ts';
import { verifyPersonToken } from './person-token.ts';
import { assertLifeLeft, type SubjectDeps } from './subject.ts';

/** What {@link personApplicant} needs. */
export interface PersonDeps extends SubjectDeps {
  /** The namespaces of an environment whose flags the policy lets a person read; `*` alone for all of them. */
  readableNamespaces: (principal: Principal, environment: string) => Promise<string[]>;
}

/** Whether a token says that it is of a person who signed in here. Nothing is verified. @throws TokenRefused */
export function isOfPerson({ personIssuers }: PersonDeps, token: string): boolean {
  const { iss, aud } = parseTokenForm(token).unverified;
  return personIssuers.some(
    ({ issuer, audience }) =>
      issuer === iss && [aud].flat().some((name) => audience.includes(name as string)),
  );
}

/**
 * A person who runs an application on their own machine, and requests a token with which it reads flags. It reads what the
 * person may read, and nothing else: it is no token of the control plane.
 *
 * @throws TokenRefused
 * @throws BrokerError `issuer_unavailable`
 */
export async function personApplicant(
  deps: PersonDeps,
  token: string,
  environment: string,
): Promise<PersonApplicant> {
  const form = parseTokenForm(token);
  const { issuer, type, claims } = await verifyPersonToken(deps, token, form);
  assertOwnToken(claims);
  assertLifeLeft(claims.exp, deps.clock(), 'exp');
  const principal = personPrincipal(issuer, type, claims);
  const namespaces = await deps.readableNamespaces(principal, environment);
  // Whoever reads nothing there learns nothing about it.
  if (namespaces.length === 0) throw new TokenRefused('policy_denied', 'no namespace');
  const audience = `data:${environment}`;
  return {
    ruleName: typeof claims.aud === 'string' ? claims.aud : String(claims.azp),
    rule: {
      issuer: issuer.issuer,
      audience,
      claims: {},
      kind: 'workload',
      grant: {
        audiences: [audience],
        operations: [],
        environments: [environment],
        namespaces,
        token_ttl_s: MAX_ISSUED_LIFE_S,
        require_dpop: false,
      },
    },
    person: principal,
    credential: { ...credentialOf(form, claims, false), ...sinceSignIn(principal) },
    singleUse: null,
    exp: claims.exp,
  };
}
