import type { SchemaFault } from '../schema-faults.ts';
import { type IssuerConfig, STABLE_CLAIMS } from './issuers.ts';

/*
 * Whether one human can be two persons: by accounts at several issuers, or by the subjects that an issuer makes for each
 * client.
 */

/** What decides who is a person at an issuer. */
export type Identification = Pick<
  IssuerConfig,
  'audience' | 'authorized_parties' | 'token_types' | 'claims' | 'login' | 'web' | 'subject_type'
>;

/** Faults of a configuration in which one human could be two persons. */
export function personFaults(issuers: readonly IssuerConfig[]): SchemaFault[] {
  const shared = issuers.filter(({ disjoint }) => !disjoint);
  return issuers.flatMap((issuer, place) => {
    const faults: SchemaFault[] = [];
    if (shared.length > 1 && shared.includes(issuer) && issuer.claims.person === undefined) {
      faults.push({
        path: ['issuers', place, 'claims', 'person'],
        detail:
          'is missing: with several issuers, somebody with two accounts would be two persons. Name the claim that is the same at each ' +
          'issuer, or set disjoint: true if nobody here has an account at another issuer',
      });
    }
    // OpenID Connect Core 2: `sub` is unique within the issuer only.
    if (shared.length > 1 && shared.includes(issuer) && issuer.claims.person === 'sub') {
      faults.push({
        path: ['issuers', place, 'claims', 'person'],
        detail:
          'is sub, which each issuer assigns by itself: the same person could be two, and two could be one. Name the claim that is the ' +
          'same at each issuer, or set disjoint: true if nobody here has an account at another issuer',
      });
    }
    const source = (['jwks_uri', 'jwks_file'] as const).find((key) => issuer[key] !== undefined);
    if (source !== undefined && requiresPublicSubjects(issuer)) {
      faults.push({
        path: ['issuers', place, 'subject_type'],
        detail: `is missing: ${SEVERAL_CLIENTS}, and with ${source} no discovery says which. ${REMEDY}`,
      });
    }
    return faults;
  });
}

/** The person claims that are known to be stable only because the configuration says so, to be logged at each start. */
export function declaredStable(issuers: readonly IssuerConfig[]): { issuer: string; claim: string }[] {
  return issuers.flatMap(({ issuer, claims: { person, person_is_stable } }) =>
    person_is_stable && person !== undefined && !STABLE_CLAIMS.has(person) ? [{ issuer, claim: person }] : [],
  );
}

const SEVERAL_CLIENTS =
  'the issuer has several clients and may have other subjects for each (OpenID Connect Core 8)';
const REMEDY = 'Set claims.person, or subject_type: public if each person has one subject for all clients';

/**
 * Whether people are told apart by a subject that must not depend on the client. Without `authorized_parties`, access tokens
 * may come from any client.
 */
export function requiresPublicSubjects(source: Partial<Identification>): boolean {
  const { audience, authorized_parties, token_types, claims, login, web, subject_type } = source;
  if (audience === undefined || subject_type === 'public') return false;
  if (claims?.person !== undefined && claims.person !== 'sub') return false;
  const clients = [...audience, ...(authorized_parties ?? []), login?.client_id, web?.client_id];
  const anyClient = token_types?.includes('access_token') === true && authorized_parties === undefined;
  return anyClient || new Set(clients.filter((client) => client !== undefined)).size > 1;
}

/**
 * Checks the metadata of an issuer of people: the same human must be one person at every client. Only a provider that
 * supports nothing but public subjects says so.
 *
 * @param supported `subject_types_supported` of the metadata
 * @throws SubjectsDiffer
 * @see OpenID Connect Core 8, OpenID Connect Discovery 1.0 section 3
 */
export function assertPublicSubjects(
  source: Partial<Identification>,
  supported: readonly string[] | undefined,
): void {
  const isPublic = supported?.length === 1 && supported[0] === 'public';
  if (!isPublic && requiresPublicSubjects(source)) throw new SubjectsDiffer();
}

/** The issuer's subjects may differ by client, so its tokens are not accepted. The message is for the operator. */
export class SubjectsDiffer extends Error {
  constructor() {
    super(`${SEVERAL_CLIENTS}: subject_types_supported is not only public. ${REMEDY}`);
    this.name = 'SubjectsDiffer';
  }
}
