import { isPinned } from '../rules.ts';
import type { Platform } from './platform.ts';

/** Claim names that are identifiers on most platforms: `workspace_id`, `oidc.example/project-id`, `repositoryUuid`. */
const ID_CLAIM = /(?:[_/.-](?:id|uid|uuid)|[a-z](?:Id|Uid|Uuid)|^(?:oid|uid|uuid))$/;

/**
 * Identifiers that do not identify an origin: of a person, or of a single run, which ends before a rule could trust it.
 */
const PASSING_CLAIM =
  /(?:^|\/)(?:actor|user|account|run|job|build|check_run|task|jwt|session|request)_?(?:id|Id)$/;

/** Issuers shared by many tenants, with the claims that identify the tenant. */
export const SHARED_ISSUERS: SharedIssuers = new Map([
  ['https://app.terraform.io', ['terraform_organization_id']],
  ['https://oidc.vercel.com', ['owner_id']],
]);

/** Issuers with the claims that every rule for them must pin, because they identify the tenant or the workload. */
export type SharedIssuers = ReadonlyMap<string, readonly string[]>;

/** True for a claim whose name indicates a permanent identifier. */
function isIdClaim(claim: string): boolean {
  return ID_CLAIM.test(claim) && !PASSING_CLAIM.test(claim);
}

/** Any other OpenID Connect issuer. Only the names of claims tell which are permanent identifiers. */
export const oidc: Platform = {
  name: 'oidc',
  isIssuer: (issuer) => SHARED_ISSUERS.has(issuer),
  ownClaims: /^$/,
  faults: (rule) =>
    Object.keys(rule.claims).some((claim) => isIdClaim(claim) && isPinned(rule, claim))
      ? []
      : [
          'claims must pin an identifier that is never reassigned, such as workspace_id; if the issuer uses another name for it, list that claim in shared_issuers of the policy data',
        ],
  misses: () => [],
};
