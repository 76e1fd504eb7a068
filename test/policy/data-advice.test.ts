import { expect, it } from 'vitest';
import { dataAdvice } from '../../src/policy/data-advice.ts';

const binding = [{ roles: ['flag-auditor'], namespaces: ['*'], environments: ['*'] }];
const ISSUER = 'https://idp.example';

function adviceOn(role_bindings: object, more: object = {}): string[] {
  return dataAdvice({ config: { role_bindings, ...more } }).map(({ pointer }) => pointer);
}

it('is given on each binding that names a person, since no bundle can be erased', () => {
  const role_bindings = {
    groups: { [ISSUER]: { auditors: binding } },
    claims: { [ISSUER]: { email: { 'dana@example.com': binding }, department: { payments: binding } } },
    principals: { 'person:demo:dana': binding, 'workload:countersign:scheduler': binding },
  };
  expect(adviceOn(role_bindings)).toEqual([
    '/config/role_bindings/principals/person:demo:dana',
    '/config/role_bindings/claims/https:~1~1idp.example/email',
  ]);
  const [first] = dataAdvice({ config: { role_bindings } });
  expect(first?.detail).toContain('no bundle can be erased');
});

it('is given where nobody could approve an erasure, and not where somebody could', () => {
  const rule = {
    approvals: { 'flag-auditor': 1, 'security-approver': 1 },
    ticket: false,
    windows: [],
    account_approvers: false,
    sign_in: null,
  };
  const kind = { persons_only: true, place: 'everywhere', under_freeze: 'passes', stand_ins: [], roles: {} };
  const request_kinds = { 'person.erase': { ...kind, rule, held: { code: 'held', detail: 'Held.' } } };
  const role_bindings = { groups: {}, claims: { [ISSUER]: { department: { audit: binding } } } };
  expect(adviceOn(role_bindings, { request_kinds })).toEqual([
    '/config/request_kinds/person.erase/rule/approvals/security-approver',
  ]);
  const all = { groups: { [ISSUER]: { security: [{ ...binding[0], roles: Object.keys(rule.approvals) }] } } };
  expect(adviceOn(all, { request_kinds })).toEqual([]);
});
