import { dataEnvironmentOf } from '../identity/issued-token.ts';
import { isFetchable } from '../issuers/issuers.ts';
import { isTrustDomain } from '../issuers/spiffe.ts';
import { isGlob } from './glob.ts';
import { oidc, SHARED_ISSUERS, type SharedIssuers } from './platforms/oidc.ts';
import type { Platform } from './platforms/platform.ts';
import { platformOf, platformOfIssuer } from './platforms/platforms.ts';
import { isPinned, patternsOf, type TrustRule, type TrustRules } from './rules.ts';

/** What is wrong with one rule, and how to mend it. */
export interface TrustRuleFault {
  rule: string;
  detail: string;
}

/** What the rest of the policy's data says that rules have to fit. */
export interface LintContext {
  /** The environments that exist; null when that is not known. */
  environments: ReadonlySet<string> | null;
  /** Issuers besides the well-known ones that several tenants share. */
  sharedIssuers: SharedIssuers;
}

/** Where rules are looked at alone. */
const NO_CONTEXT: LintContext = { environments: null, sharedIssuers: new Map() };

/** Claims that name an identity: with `*` they would name many. */
const IDENTITY_CLAIM =
  /^(?:sub|repository|repository_owner|enterprise|(?:job_|source_)?(?:project|namespace)_path|organization_slug|pipeline_slug)$|(?:[_/.-](?:id|uid|uuid)|[a-z](?:Id|Uid|Uuid))$/;

/** Operations with which a job writes what somebody else approves. */
const WRITING: ReadonlySet<string> = new Set(['request.propose', 'request.edit']);

/** Claims that name a human by what they, or others after them, can choose: a login, an address. */
const PASSING_NAME = /(?:^|[_/.-])(?:actor|login|e?mail|(?:nick|user)?name|upn|phone_number)$/i;

/** What is verified before any rule is looked at, or has a place of its own in the rule. */
const RESERVED_CLAIMS: Readonly<Record<string, string>> = {
  iss: 'issuer says it',
  aud: 'audience says it',
  exp: 'times are always verified',
  iat: 'times are always verified',
  nbf: 'times are always verified',
  jti: 'it is another one in each token',
};

/** Audiences of other readers: whoever of them gets a token could come here with it. */
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
 * All faults that make a rule trust more than its author can mean; none for a sound set of rules.
 * A bundle with a fault MUST NOT be activated.
 */
export function lintTrustRules(rules: TrustRules, context: LintContext = NO_CONTEXT): TrustRuleFault[] {
  return Object.entries(rules).flatMap(([rule, content]) =>
    ruleFaults(content, context).map((detail) => ({ rule, detail })),
  );
}

function ruleFaults(rule: TrustRule, context: LintContext): string[] {
  const issuerFault = faultOfIssuer(rule);
  // Whose tokens the rule is about follows from the issuer.
  if (issuerFault !== null) return [issuerFault];
  return [
    ...audienceFaults(rule),
    ...claimFaults(rule, platformOf(rule)),
    ...identityFaults(rule, context.sharedIssuers),
    ...grantFaults(rule, context.environments),
    ...agentFaults(rule),
    ...personFaults(rule),
  ];
}

function faultOfIssuer({ issuer, platform }: TrustRule): string | null {
  if (!isTrustDomain(issuer) && (/[\s*]/.test(issuer) || !isFetchable(issuer, true))) {
    return 'issuer must be one exact https URL, as iss of the tokens has it, or spiffe:// and a trust domain';
  }
  const known = platformOfIssuer(issuer);
  if (known !== null && platform !== undefined && platform !== known.name) {
    return `platform must be ${known.name}, whose issuer this is: write that, or leave platform out`;
  }
  if (platform === 'spiffe' && known === null) {
    return 'issuer must be spiffe:// and the trust domain for the platform spiffe: iss of its tokens is not looked at';
  }
  return null;
}

function audienceFaults({ audience, issuer }: TrustRule): string[] {
  if (isGlob(audience)) return ['audience must be exact: write the one that the job asks for, without *'];
  const isForeign = audience === issuer || FOREIGN_AUDIENCES.some((foreign) => foreign.test(audience));
  return isForeign
    ? [`audience must be one of this broker alone, such as its URL: others are sent tokens for ${audience}`]
    : [];
}

function claimFaults(rule: TrustRule, { name }: Platform): string[] {
  return Object.entries(rule.claims).flatMap(([claim, wanted]) => {
    const reserved = Object.hasOwn(RESERVED_CLAIMS, claim) ? RESERVED_CLAIMS[claim] : undefined;
    if (reserved !== undefined) return [`claims.${claim} does nothing here, ${reserved}: take it out`];
    if (name === 'spiffe' && claim === 'sub') return [];
    if (IDENTITY_CLAIM.test(claim) && patternsOf(wanted).some(isGlob)) {
      return [`claims.${claim} must not have *, since it names an identity: list each one`];
    }
    if (patternsOf(wanted).some((value) => value.startsWith('spiffe://'))) {
      return [
        'issuer must be the trust domain for a SPIFFE ID: write issuer: spiffe:// and its trust domain',
      ];
    }
    return [];
  });
}

/** What keeps a name that is given to somebody else later, or another tenant of the issuer, from being trusted. */
function identityFaults(rule: TrustRule, sharedIssuers: SharedIssuers): string[] {
  const tenantClaims = sharedIssuers.get(rule.issuer) ?? SHARED_ISSUERS.get(rule.issuer) ?? [];
  const missing = tenantClaims
    .filter((claim) => !isPinned(rule, claim))
    .map((claim) => `claims.${claim} is missing: pin it exactly, since several tenants share this issuer`);
  const platform = platformOf(rule);
  // The policy's author has said which claims are identifiers of this issuer.
  if (platform === oidc && sharedIssuers.has(rule.issuer)) return missing;
  return [...missing, ...platform.faults(rule)];
}

function agentFaults({ kind, person }: TrustRule): string[] {
  if (kind !== 'agent' || person === undefined) return [];
  return ['person is for workloads: take it out, the person of an agent is whoever it acts for'];
}

/** Whoever takes a name that another one gave up would be that other one, and could approve what they proposed. */
function personFaults(rule: TrustRule): string[] {
  const { person } = rule;
  if (person === undefined) return missingPersonFaults(rule);
  if (!PASSING_NAME.test(person.claim)) return [];
  return [
    `person.claim must be an id such as actor_id or user_id: ${person.claim} is a name, and others can take it later`,
  ];
}

/** Without knowing who started a job, nobody can tell its approver from its author. */
function missingPersonFaults(rule: TrustRule): string[] {
  const { personClaim } = platformOf(rule);
  const writes = rule.grant.operations.some((operation) => WRITING.has(operation));
  if (personClaim === undefined || rule.kind === 'agent' || !writes) return [];
  return [
    `person is missing: write person: {claim: ${personClaim}, prefix: "…:"}, or whoever starts the job could approve what it proposes`,
  ];
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
      faults.push(`grant.environments has ${environment}, which is no environment of the policy: correct it`);
    }
  }
  for (const audience of grant.audiences) {
    const environment = dataEnvironmentOf(audience);
    if (environment === null || ['*', environment].some((named) => grant.environments.includes(named)))
      continue;
    faults.push(`grant.audiences has ${audience}: add ${environment} to grant.environments, or take it out`);
  }
  return faults;
}
