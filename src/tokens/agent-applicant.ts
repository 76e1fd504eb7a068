import { ciRunOf } from '../identity/credential.ts';
import { dataEnvironmentOf } from '../identity/issued-token.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { isSpiffe } from '../issuers/spiffe.ts';
import type { TrustRule, TrustRules } from '../trust/rules.ts';
import { startersOf, workloadId } from '../trust/workload.ts';
import type { Applicant } from './applicant.ts';
import { carriedClaims } from './carried-claims.ts';
import { fitsToken, originOf } from './delegation.ts';
import { GrantRefused } from './grant.ts';
import { type Sponsor, type SponsorDeps, verifySponsor } from './sponsor.ts';
import {
  assertLifeLeft,
  platformCredential,
  type Subject,
  singleUseOf,
  verifySubject,
  type WantedRule,
} from './subject.ts';

/**
 * An agent that requests a token to act for a person. The person's token authorizes the agent, and the agent's own
 * token identifies it. The issued token never exceeds the grant of the trust rule or what the person allows. Policy
 * denies the agent what the person may not do.
 *
 * @throws TokenRefused
 * @throws GrantRefused `invalid_request` when the person's groups and claims do not fit into a token
 * @throws BrokerError `issuer_unavailable`
 * @see RFC 8693 sections 1.1 and 2.1
 */
export async function agentApplicant(
  deps: SponsorDeps,
  tokens: { subject: string; actor: string },
  wanted: Pick<WantedRule, 'rules' | 'audience'>,
): Promise<Applicant> {
  const sponsor = await verifySponsor(deps, tokens.subject);
  assertLifeLeft(sponsor.exp, deps.clock(), 'subject token');
  const { iss, sub } = sponsor.mayAct;
  const rule = iss === deps.issuer ? sub : undefined;
  const actor = await verifySubject(deps, tokens.actor, { ...wanted, kind: 'agent', rule });
  if (rule === undefined && !isNamed(sponsor, actor, wanted.rules))
    throw new TokenRefused('actor_not_accepted', 'may_act');
  return applicantOf(sponsor, actor);
}

/**
 * Whether the person's token authorizes this workload. A `sub` without `iss` is accepted only where no other platform
 * could issue it to one of its agents. RFC 8693 section 4.4
 */
function isNamed({ mayAct: { iss, sub } }: Sponsor, { claims }: Subject, rules: TrustRules): boolean {
  if (sub !== claims.sub) return false;
  if (iss !== undefined) return iss === claims.iss;
  const ofAgents = Object.values(rules).filter(({ kind }) => kind === 'agent');
  return isSpiffe(sub) || new Set(ofAgents.map(({ issuer }) => issuer)).size === 1;
}

function applicantOf(sponsor: Sponsor, actor: Subject): Applicant {
  const { claims, ruleName } = actor;
  const workload = workloadId(ruleName, claims.sub);
  const own = platformCredential(actor);
  const act = [workload, ...sponsor.actors];
  const ci_run = ciRunOf(carriedClaims(actor.rule, claims));
  const origins = [...sponsor.origins, { ...originOf(own, { id: workload, kind: 'workload' }), ci_run }];
  const { groups } = sponsor;
  if (!fitsToken({ groups, claims: sponsor.claims, origins, act })) {
    throw new GrantRefused(
      'invalid_request',
      'the groups and claims of the person do not fit into a token: configure their issuer to send fewer to this client',
    );
  }
  return {
    ruleName,
    rule: narrowed(actor.rule, sponsor),
    parts: {
      id: `agent:${ruleName}:${claims.sub}`,
      person: sponsor.person,
      started_by: startersOf(actor),
      issuer: sponsor.issuer,
      claims: sponsor.claims,
      trust_rule: ruleName,
      issued_ms: Math.floor(claims.iat * 1000),
      delegation: { act, groups },
    },
    credential: { ...own, origins },
    singleUse: singleUseOf(actor),
    exp: Math.min(claims.exp, sponsor.exp),
  };
}

/**
 * The rule, narrowed to what the person allows. An agent does not read flags as an application, because its sponsor
 * could not either.
 */
function narrowed(rule: TrustRule, { operations }: Sponsor): TrustRule {
  const { grant } = rule;
  return {
    ...rule,
    grant: {
      ...grant,
      audiences: grant.audiences.filter((audience) => dataEnvironmentOf(audience) === null),
      operations: grant.operations.filter((name) => operations === null || operations.includes(name)),
    },
  };
}
