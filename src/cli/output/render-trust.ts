import type { RuleReport, TrustReport, WouldIssue } from '../../tokens/trust-report.ts';
import { moment, printable, printableJson, table } from './text.ts';

const SIGNATURES: Readonly<Record<TrustReport['signature'], string>> = {
  verified: 'verified',
  refused: 'refused; the claims below are unverified',
  not_checked: 'NOT VERIFIED; the rules of the bundle were compared with unverified claims',
};

/** Renders a report for people. All text from the token is untrusted. */
export function renderTrustReport(report: TrustReport): string {
  const { signature, token, rules, would_issue, refusal } = report;
  const own = rules.filter(({ misses }) => !misses.some(({ claim }) => claim === 'iss'));
  const others = rules.length - own.length;
  return [
    `signature  ${SIGNATURES[signature]}`,
    ...(token === null ? [] : renderToken(token)),
    '',
    ...(own.length === 0 ? [] : [renderRules(own), '']),
    ...(others === 0 ? [] : [`${others} of ${rules.length} rules are for other issuers.`]),
    ...(would_issue === null ? [] : renderGrant(would_issue)),
    ...(refusal === null ? [] : [`refused    ${refusal.reason}: ${printable(refusal.detail)}`]),
  ].join('\n');
}

function renderToken({ issuer, subject, audience, expires_ms }: NonNullable<TrustReport['token']>): string[] {
  const shown = (text: string | null): string => (text === null ? 'none' : printable(text));
  return [
    `issuer     ${shown(issuer)}`,
    `subject    ${shown(subject)}`,
    `audience   ${printableJson(audience)}`,
    `expires    ${expires_ms === null ? 'never' : moment(expires_ms)}`,
  ];
}

function renderRules(rules: readonly RuleReport[]): string {
  const rows = rules.flatMap(({ rule, matches, misses }) =>
    matches
      ? [[rule, 'yes', '', '', '']]
      : misses.map(({ claim, wanted, has }, index) => [
          index === 0 ? rule : '',
          index === 0 ? 'no' : '',
          claim,
          wanted.join(' or '),
          has ?? 'nothing',
        ]),
  );
  return table(['RULE', 'MATCHES', 'CLAIM', 'REQUIRED', 'IN THE TOKEN'], rows);
}

function renderGrant(grant: WouldIssue): string[] {
  const list = (names: readonly string[]): string => printable(names.join(', ') || 'none');
  return [
    `would get  a token for ${printable(grant.principal)} under ${printable(grant.rule)}`,
    `audience   ${printable(grant.audience)}`,
    `may        ${list(grant.operations)}`,
    `where      environments ${list(grant.environments)}; namespaces ${list(grant.namespaces)}`,
    `lives      ${grant.token_ttl_s} s${grant.require_dpop ? ', bound to a key (DPoP)' : ''}`,
    ...(grant.person === null ? [] : [`person     ${printable(grant.person)}`]),
    ...(grant.started_by.length === 0 ? [] : [`started by ${list(grant.started_by)}`]),
    ...(grant.kind === 'agent' ? ['requires   a delegation of the person that the agent acts for'] : []),
  ];
}
