import { BUILDKITE_IDS } from '../../fixtures/identity/platforms/buildkite.ts';
import { SERVICE_ACCOUNT_UID } from '../../fixtures/identity/platforms/kubernetes.ts';
import { type TrustRule, trustRuleSchema } from '../../src/trust/rules.ts';

/** What the rules grant. */
export const GRANT = {
  audiences: ['control'],
  operations: ['request.propose'],
  environments: ['production'],
  namespaces: ['payments'],
  token_ttl_s: 600,
};
export const UID = '/kubernetes.io/serviceaccount/uid';

/** A sound rule of each platform. */
export const SOUND = {
  github: {
    issuer: 'https://token.actions.githubusercontent.com',
    claims: {
      repository_id: '456789',
      repository_owner_id: '123456',
      ref: 'refs/heads/main',
      run_attempt: '1',
    },
  },
  gitlab: {
    issuer: 'https://gitlab.com',
    claims: { project_id: '22', ref: 'main', ref_protected: 'true' },
  },
  kubernetes: {
    issuer: 'https://kubernetes.default.svc.cluster.local',
    claims: { [UID]: SERVICE_ACCOUNT_UID },
  },
  spiffe: {
    issuer: 'spiffe://acme.example',
    claims: { sub: 'spiffe://acme.example/ns/payments/sa/deploy' },
  },
  buildkite: { issuer: 'https://agent.buildkite.com', claims: BUILDKITE_IDS },
  oidc: {
    issuer: 'https://app.terraform.io',
    claims: {
      terraform_organization_id: 'org-1',
      terraform_workspace_id: 'ws-1',
      terraform_run_phase: 'apply',
    },
  },
} satisfies Record<string, { issuer: string; claims: TrustRule['claims'] }>;

/** The platforms that there is a sound rule of. */
export type Name = keyof typeof SOUND;

/** Whoever starts a job, where the platform always says who. */
export const PERSONS: Partial<Record<Name, TrustRule['person']>> = {
  github: { claim: 'actor_id', prefix: 'github:' },
  gitlab: { claim: 'user_id', prefix: 'gitlab:' },
};

/** A sound rule with other claims (undefined takes one away), and other members. */
export function ruleOf(name: Name, claims: Record<string, unknown> = {}, members: object = {}): TrustRule {
  const all = Object.entries({ ...SOUND[name].claims, ...claims }).filter(
    ([, wanted]) => wanted !== undefined,
  );
  return trustRuleSchema.parse({
    issuer: SOUND[name].issuer,
    audience: 'https://countersign.example',
    claims: Object.fromEntries(all),
    person: PERSONS[name],
    grant: GRANT,
    ...members,
  });
}
