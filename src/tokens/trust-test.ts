import { authorize, questionOf } from '../decide/authorize.ts';
import type { Call, ControlDeps } from '../decide/control.ts';
import { write } from '../decide/write.ts';
import { TokenRefused } from '../identity/refusal.ts';
import { issuedPrincipal } from '../identity/workload.ts';
import type { Policy } from '../policy/policies.ts';
import { isTokenUsed } from '../store/installation.ts';
import { trustRulesOf } from '../trust/policy-rules.ts';
import type { TrustRules } from '../trust/rules.ts';
import type { Applicant } from './applicant.ts';
import { repetitionOf } from './authorize-exchange.ts';
import { explainRefusal } from './explain-refusal.ts';
import { grantedLifeS } from './grant.ts';
import { type SubjectDeps, verifyPlatformToken } from './subject.ts';
import {
  explainToken,
  type TrustQuestion,
  type TrustReport,
  type Verification,
  type WouldIssue,
} from './trust-report.ts';

/** What {@link testTrust} needs. */
export interface TrustTestDeps extends SubjectDeps {
  control: ControlDeps;
}

/**
 * Reports the result of a hypothetical exchange of a platform's token, and why. It is for authors of trust rules, who
 * may know what the job itself may not. Nothing is issued, and the single use of the token is not claimed.
 *
 * @throws BrokerError `policy_denied`, `sign_in_required`; `issuer_unavailable`
 */
export async function testTrust(
  deps: TrustTestDeps,
  call: Call,
  order: TrustQuestion & { token: string },
): Promise<TrustReport> {
  // 1. Decide and record: an unauthorized caller learns nothing about rules, and causes no fetch.
  await write(deps.control, call, (writing) => authorize(writing, { operation: 'trust.test' }));
  // 2. Verify as an exchange does. The rules and the later decision come from the same policy.
  const policy = await deps.control.policies.active(deps.control.store.read);
  const rules = trustRulesOf(policy);
  const verification = await verificationOf(deps, order.token, rules);
  // 3. Compare with every rule.
  const { report, applicant } = explainToken(rules, order.token, {
    asked: order,
    nowMs: deps.clock(),
    verification,
  });
  // 4. Ask policy and state. An agent's exchange also requires a person, so its result cannot be predicted.
  if (report.would_issue === null || applicant === null || applicant.rule.kind === 'agent') return report;
  return foresee(deps, report, { policy, applicant, would_issue: report.would_issue });
}

async function verificationOf(deps: TrustTestDeps, token: string, rules: TrustRules): Promise<Verification> {
  try {
    await verifyPlatformToken(deps, token, rules);
    return { signature: 'verified' };
  } catch (error) {
    if (error instanceof TokenRefused) return { signature: 'refused', cause: error };
    throw error;
  }
}

async function foresee(
  { control, clock }: TrustTestDeps,
  report: TrustReport,
  { policy, applicant, would_issue }: { policy: Policy; applicant: Applicant; would_issue: WouldIssue },
): Promise<TrustReport> {
  const { parts, credential, singleUse, rule, exp } = applicant;
  const { audience, operations: scope, require_dpop } = would_issue;
  const principal = issuedPrincipal({ ...parts, audience, scope, sender_constrained: require_dpop });
  const refused = (error: TokenRefused, more = ''): TrustReport => {
    const { reason, detail } = explainRefusal(error);
    return { ...report, would_issue: null, refusal: { reason, detail: `${detail}${more}` } };
  };
  const { read } = control.store;
  if ((await control.revocations.latest().hit(read, { principal, credential })) !== null) {
    return refused(new TokenRefused('revoked'));
  }
  const repetition = repetitionOf(policy, { ruleName: applicant.ruleName, rule, audience });
  if (singleUse !== null && (await isTokenUsed(read, singleUse, repetition))) {
    return refused(new TokenRefused('replayed'));
  }
  const nowMs = clock();
  const question = questionOf(policy, principal, { operation: 'token.exchange' });
  const { effect, reasons, limits } = policy.decide(question, nowMs);
  if (effect !== 'allow') {
    const why = reasons.map(({ code, detail }) => ` ${code}: ${detail}`).join('');
    return refused(new TokenRefused('policy_denied'), why);
  }
  const policyTtlS = limits.token_ttl_s ?? Number.POSITIVE_INFINITY;
  const token_ttl_s = grantedLifeS(rule, { policyTtlS, exp, iat: Math.floor(nowMs / 1000) });
  return { ...report, would_issue: { ...would_issue, token_ttl_s } };
}
