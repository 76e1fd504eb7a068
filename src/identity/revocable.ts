import type { Principal } from '../principal.ts';
import { type Caller, type CredentialOrigin, nameAtIssuer } from './credential.ts';
import type { Revocation } from './revocations.ts';

/* The names under which callers can be revoked. Brokers look them up in their list, and relays in the one they were given. */

/** The one name of the person behind a name. */
export type Resolve = (person: string) => string;

/** The parts of a principal that revocations match. */
export interface RevocablePrincipal extends Pick<Principal, 'id' | 'person' | 'issuer'> {
  trust_rule: string | null;
  act?: readonly string[] | undefined;
}

/**
 * The credential of a caller and those it was issued for, each with the names that it can be revoked under.
 *
 * @param resolve the one name of the person behind a name
 */
export function shownBy(
  { principal, credential }: Caller,
  resolve: Resolve,
): { names: string[]; issued_ms: number }[] {
  const own = [...credentialNames(credential, principal.kind), ...namesOfPrincipal(principal, resolve)];
  const origins = (credential.origins ?? []).map((origin) => ({
    names: [
      ...credentialNames(origin, origin.kind),
      revocableName('subject', origin.principal),
      // The person behind an agent is its sponsor, whose credential this then is.
      ...(origin.kind === 'person' ? personNames(principal, resolve) : []),
    ],
    issued_ms: origin.issued_ms,
  }));
  return [{ names: own, issued_ms: credential.issued_ms }, ...origins];
}

/** The names under which a credential can be revoked, whatever its principal. */
function credentialNames(
  { issuer, token_id, session, kid }: Pick<CredentialOrigin, 'issuer' | 'token_id' | 'session' | 'kid'>,
  kind: Principal['kind'],
): string[] {
  return [
    revocableName('token', nameAtIssuer(issuer, token_id)),
    revocableName('session', token_id),
    ...(session === null ? [] : [revocableName('session', session)]),
    ...(kid === null ? [] : [revocableName('key', kid)]),
    // The issuer of the token itself, in addition to the issuer of the principal.
    revocableName('issuer', issuer),
    revocableName('class', kind),
    revocableName('class', 'all'),
  ];
}

function personNames({ person }: Pick<Principal, 'person'>, resolve: Resolve): string[] {
  return person === null ? [] : [revocableName('subject', resolve(person))];
}

/** The names under which a principal with its token can be revoked. */
export function namesOfPrincipal(principal: Principal, resolve: Resolve): string[] {
  return namesOf({ ...principal, trust_rule: principal.token.trust_rule }, resolve);
}

/** The names under which a principal can be revoked. An agent is revoked with its sponsor. */
export function namesOf(
  { id, person, issuer, trust_rule, act }: RevocablePrincipal,
  resolve: Resolve,
): string[] {
  return [
    revocableName('subject', id),
    ...personNames({ person }, resolve),
    ...(act ?? []).map((actor) => revocableName('subject', actor)),
    revocableName('issuer', issuer),
    ...(trust_rule === null ? [] : [revocableName('trust_rule', trust_rule)]),
  ];
}

/** The name of what a revocation revokes, for look-ups. */
export function revocableName(kind: string, value: string): string {
  return `${kind} ${value}`;
}

/** Whether a revocation covers what was issued at a moment. */
export function covers(
  { issued_before_ms }: Pick<Revocation, 'issued_before_ms'>,
  issuedMs: number,
): boolean {
  return issued_before_ms === null || issuedMs < issued_before_ms;
}
