import { isPinned } from '../rules.ts';
import type { Platform } from './platform.ts';

/** Names of claims that are identifiers on most platforms: `workspace_id`, `oidc.example/project-id`, `repositoryUuid`. */
const ID_CLAIM = /(?:[_/.-](?:id|uid|uuid)|[a-z](?:Id|Uid|Uuid)|^(?:oid|uid|uuid))$/;

/** Identifiers that are no place to come from: of a person, or of one run, which is over before it is trusted. */
const PASSING_CLAIM =
  /(?:^|\/)(?:actor|user|account|run|job|build|check_run|task|jwt|session|request)_?(?:id|Id)$/;

/** Issuers that many tenants share, to the claims that say which tenant. */
export const SHARED_ISSUERS: SharedIssuers = new Map([
  ['https://app.terraform.io', ['terraform_organization_id']],
  ['https://oidc.vercel.com', ['owner_id']],
]);

/** Issuer to the claims that every rule for it has to pin, because they say which of its tenants, or which workload. */
export type SharedIssuers = ReadonlyMap<string, readonly string[]>;

/** True for a claim whose name says that it is an identifier that stays. */
function isIdClaim(claim: string): boolean {
  return ID_CLAIM.test(claim) && !PASSING_CLAIM.test(claim);
}

/** Any other OpenID Connect issuer: what is given only once is known by its name alone. */
export const oidc: Platform = {
  name: 'oidc',
  isIssuer: (issuer) => SHARED_ISSUERS.has(issuer),
  ownClaims: /^$/,
  faults: (rule) =>
    Object.keys(rule.claims).some((claim) => isIdClaim(claim) && isPinned(rule, claim))
      ? []
      : [
          'claims must pin an identifier that is never given twice, such as workspace_id; where the issuer has it under another name, list that claim in shared_issuers of the policy data',
        ],
  misses: () => [],
};
