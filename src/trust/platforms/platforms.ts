import type { PlatformName, TrustRule } from '../rules.ts';
import { buildkite } from './buildkite.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import { kubernetes } from './kubernetes.ts';
import { oidc } from './oidc.ts';
import type { Platform, SourceClaims } from './platform.ts';
import { spiffe } from './spiffe.ts';

/** SPIFFE comes first, because a trust domain may be named like any host. */
const PLATFORMS: Readonly<Record<PlatformName, Platform>> = {
  spiffe,
  github,
  gitlab,
  kubernetes,
  buildkite,
  oidc,
};

/** Ordered for detection by claims: GitHub's tokens have `ref_protected` too. */
const BY_CLAIMS = [kubernetes, github, buildkite, gitlab];

/** The claims of a source, of each platform that has them. No token has those of two platforms. */
export const SOURCE_CLAIMS: readonly SourceClaims[] = BY_CLAIMS.flatMap(({ sourceClaims }) =>
  sourceClaims === undefined ? [] : [sourceClaims],
);

/** The platform of a known issuer, or null. */
export function platformOfIssuer(issuer: string): Platform | null {
  if (!URL.canParse(issuer)) return null;
  return Object.values(PLATFORMS).find((platform) => platform.isIssuer(issuer)) ?? null;
}

/** The platform of a rule: by its issuer, otherwise by the rule's `platform`, otherwise by its claims. */
export function platformOf(rule: TrustRule): Platform {
  const known = platformOfIssuer(rule.issuer);
  if (known !== null) return known;
  if (rule.platform !== undefined) return PLATFORMS[rule.platform];
  const names = Object.keys(rule.claims);
  return BY_CLAIMS.find(({ ownClaims }) => names.some((claim) => ownClaims.test(claim))) ?? oidc;
}
