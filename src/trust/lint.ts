import { dataEnvironmentOf } from '../identity/issued-token.ts';
import { isFetchable } from '../issuers/issuers.ts';
import { isTrustDomain } from '../issuers/spiffe.ts';
import { isGlob } from './glob.ts';
import { oidc, SHARED_ISSUERS, type SharedIssuers } from './platforms/oidc.ts';
import { FIRST_ATTEMPT, type Platform } from './platforms/platform.ts';
import { platformOf, platformOfIssuer } from './platforms/platforms.ts';
import { isPinned, patternsOf, type TrustRule, type TrustRules, wantedOf, writesRequests } from './rules.ts';

/** A fault of a rule and its fix. */
export interface TrustRuleFault {
  rule: string;
  detail: string;
  /**
   * True if matching refuses the tokens that the fault is about. A bundle that was activated before the lint found such
   * faults can still be used.
   */
  is_enforced?: true;
}

/** The policy data that rules must be consistent with. */
export interface LintContext {
  /** The existing environments; null if unknown. */
  environments: ReadonlySet<string> | null;
  /** Additional issuers that several tenants share. */
  sharedIssuers: SharedIssuers;
}

/** The context for checking rules without other policy data. */
const NO_CONTEXT: LintContext = { environments: null, sharedIssuers: new Map() };

/** Claims that name an identity. With `*` they would match many. */
const IDENTITY_CLAIM =
  /^(?:sub|repository|repository_owner|enterprise|(?:job_|source_)?(?:project|namespace)_path|organization_slug|pipeline_slug)$|(?:[_/.-](?:id|uid|uuid)|[a-z](?:Id|Uid|Uuid))$/;

/** Claims that name a human by a value that can be chosen or reassigned, such as a login or an address. */
const PASSING_NAME = /(?:^|[_/.-])(?:actor|login|e?mail|(?:nick|user)?name|upn|phone_number)$/i;

/** Claims that are verified before any rule is compared, or have their own member in the rule. */
const RESERVED_CLAIMS: Readonly<Record<string, string>> = {
  iss: 'issuer covers it',
  aud: 'audience covers it',
  exp: 'times are always verified',
  iat: 'times are always verified',
  nbf: 'times are always verified',
  jti: 'it differs in each token',
};

/** Audiences of other services, which could present a received token here. */
const FOREIGN_AUDIENCES: readonly RegExp[] = [
  /^https:\/\/github\.com(?:\/|$)/,
  /^https:\/\/buildkite\.com(?:\/|$)/,
  /^https:\/\/gitlab\.com\/?$/,
  /^https:\/\/kubernetes\.default\.svc(?:\.|\/|$)/,
  /^sts\.amazonaws\.com$/,
  /^api:\/\/AzureADTokenExchange$/,
  /^https:\/\/iam\.googleapis\.com\//,
  /^(?:sigstore|vault|rubygems\.org|pypi|npm:registry\.npmjs\.org)$/,
];

/**
 * Returns the faults of rules that trust more than their author can intend; empty for valid rules. A bundle with a
 * fault MUST NOT be activated.
 */
export function lintTrustRules(rules: TrustRules, context: LintContext = NO_CONTEXT): TrustRuleFault[] {
  return Object.entries(rules).flatMap(([rule, content]) => [
    ...ruleFaults(content, context).map((detail) => ({ rule, detail })),
    ...unnamedHumanFaults(content).map((detail) => ({ rule, detail, is_enforced: true as const })),
  ]);
}

function ruleFaults(rule: TrustRule, context: LintContext): string[] {
  const issuerFault = faultOfIssuer(rule);
  // The issuer determines the platform.
  if (issuerFault !== null) return [issuerFault];
  return [
    ...audienceFaults(rule),
    ...claimFaults(rule, platformOf(rule)),
    ...identityFaults(rule, context.sharedIssuers),
    ...grantFaults(rule, context.environments),
    ...personFaults(rule),
  ];
}

function faultOfIssuer({ issuer, platform }: TrustRule): string | null {
  if (!isTrustDomain(issuer) && (/[\s*]/.test(issuer) || !isFetchable(issuer, true))) {
    return 'issuer must be an exact https URL equal to iss of the tokens, or spiffe:// and a trust domain';
  }
  const known = platformOfIssuer(issuer);
  if (known !== null && platform !== undefined && platform !== known.name) {
    return `platform must be ${known.name}, because this is its issuer: set that, or omit platform`;
  }
  if (platform === 'spiffe' && known === null) {
    return 'issuer must be spiffe:// and the trust domain for the platform spiffe: iss of its tokens is ignored';
  }
  return null;
}

function audienceFaults({ audience, issuer }: TrustRule): string[] {
  if (isGlob(audience)) return ['audience must be exact: set the audience that the job requests, without *'];
  const isForeign = audience === issuer || FOREIGN_AUDIENCES.some((foreign) => foreign.test(audience));
  return isForeign
    ? [
        `audience must belong to this broker alone, such as its URL: other services receive tokens for ${audience}`,
      ]
    : [];
}

function claimFaults(rule: TrustRule, { name }: Platform): string[] {
  return Object.entries(rule.claims).flatMap(([claim, wanted]) => {
    const reserved = Object.hasOwn(RESERVED_CLAIMS, claim) ? RESERVED_CLAIMS[claim] : undefined;
    if (reserved !== undefined) return [`claims.${claim} has no effect (${reserved}): remove it`];
    if (name === 'spiffe' && claim === 'sub') return [];
    if (IDENTITY_CLAIM.test(claim) && patternsOf(wanted).some(isGlob)) {
      return [`claims.${claim} must not contain *, because it names an identity: list each value`];
    }
    if (patternsOf(wanted).some((value) => value.startsWith('spiffe://'))) {
      return [
        'issuer must be the trust domain for a SPIFFE ID: set issuer to spiffe:// and its trust domain',
      ];
    }
    return [];
  });
}

/** Ensures that a reassigned name, or another tenant of the issuer, is not trusted. */
function identityFaults(rule: TrustRule, sharedIssuers: SharedIssuers): string[] {
  const tenantClaims = sharedIssuers.get(rule.issuer) ?? SHARED_ISSUERS.get(rule.issuer) ?? [];
  const missing = tenantClaims
    .filter((claim) => !isPinned(rule, claim))
    .map((claim) => `claims.${claim} is missing: pin it exactly, because several tenants share this issuer`);
  const platform = platformOf(rule);
  // The policy declares which claims are identifiers of this issuer.
  if (platform === oidc && sharedIssuers.has(rule.issuer)) return missing;
  return [...missing, ...platform.faults(rule)];
}

/** The new owner of a released name would count as the previous one, and could approve what that person proposed. */
function personFaults({ person, rerun_by }: TrustRule): string[] {
  const named = Object.entries({ person, rerun_by }).flatMap(([member, human]) =>
    human !== undefined && PASSING_NAME.test(human.claim)
      ? [
          `${member}.claim must be an id such as actor_id or user_id: ${human.claim} is a name that can be reassigned`,
        ]
      : [],
  );
  if (rerun_by === undefined || person !== undefined) return named;
  return [
    ...named,
    'rerun_by needs person: set person to the claim with the person who started the job first',
  ];
}

/** Without the humans who start a job, its authors cannot be distinguished from its approvers. */
function unnamedHumanFaults(rule: TrustRule): string[] {
  if (faultOfIssuer(rule) !== null || !writesRequests(rule)) return [];
  const { personClaim, attemptClaim } = platformOf(rule);
  const faults: string[] = [];
  if (personClaim !== undefined && rule.person === undefined) {
    faults.push(
      `person is missing: set person: {claim: ${personClaim}, prefix: "…:"}, otherwise the person who starts the job could approve what it proposes`,
    );
  }
  if (attemptClaim !== undefined && rule.rerun_by === undefined && !isFirstAttempt(rule, attemptClaim)) {
    faults.push(
      `claims.${attemptClaim} must be "${FIRST_ATTEMPT}": a job that is started again keeps its first person, so whoever starts it again could approve what it proposes; only if the tokens name that person too, set rerun_by instead`,
    );
  }
  return faults;
}

function isFirstAttempt(rule: TrustRule, attemptClaim: string): boolean {
  const wanted = wantedOf(rule, attemptClaim);
  return wanted.length > 0 && wanted.every((value) => value === FIRST_ATTEMPT);
}

function grantFaults({ grant }: TrustRule, environments: LintContext['environments']): string[] {
  const faults: string[] = [];
  if (
    grant.audiences.some((audience) => dataEnvironmentOf(audience) === null) &&
    grant.operations.length === 0
  ) {
    faults.push('grant.operations must name at least one operation for the audiences control and audit');
  }
  for (const environment of grant.environments) {
    if (environment !== '*' && environments?.has(environment) === false) {
      faults.push(
        `grant.environments has ${environment}, which is not an environment of the policy: correct it`,
      );
    }
  }
  for (const audience of grant.audiences) {
    const environment = dataEnvironmentOf(audience);
    if (environment === null || ['*', environment].some((named) => grant.environments.includes(named)))
      continue;
    faults.push(
      `grant.audiences has ${audience}: add ${environment} to grant.environments, or remove the audience`,
    );
  }
  return faults;
}
