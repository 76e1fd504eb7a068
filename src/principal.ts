import { z } from 'zod';
import { epochMs } from './moment.ts';

/** A short name. */
export const identifier = z.string().min(1).max(512);

/** The caller, in the policy's input. */
export const principalSchema = z.strictObject({
  id: identifier.meta({
    description:
      "`person:<issuer key>:<sub>`, `workload:<trust rule>:<sub>`, `agent:…`; `workload:countersign:scheduler` is the broker's own.",
  }),
  kind: z
    .enum(['person', 'workload', 'agent'])
    .meta({ description: 'A person, a workload (CI job or service), or an agent, which acts for a person.' }),
  person: identifier.nullable().meta({
    description:
      'The human behind the principal, in canonical form: for a workload, the person who triggered it, if known; for an agent, its sponsor, the person it acts for.',
  }),
  issuer: identifier.meta({ description: 'The `iss` that authenticated the principal.' }),
  groups: z.array(z.string().max(512)).max(1000).meta({
    description: 'The groups at the identity provider, from the token; of an agent those of its sponsor.',
  }),
  groups_seen_ms: epochMs.optional().meta({
    description:
      'When groups and claims were last seen at an authentication. Present for the proposer and the voters of a request that is to be applied, unless they are workloads: groups and claims are then those, and not the ones of their own act.',
  }),
  claims: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])).meta({
    description:
      'The verified claims that the configuration (people) or the trust rule (workloads) passes on.',
  }),
  auth: z
    .strictObject({
      level: z.int().min(0).max(9).meta({
        description:
          'Strength of the sign-in as configured for the issuer: 0 unknown, 1 single factor, 2 multi-factor, 3 phishing-resistant.',
      }),
      acr: z
        .string()
        .nullable()
        .meta({ description: 'The authentication context that the identity provider named, or null.' }),
      amr: z
        .array(z.string())
        .meta({ description: 'The methods of the sign-in that the identity provider named.' }),
      auth_time_ms: epochMs
        .nullable()
        .meta({ description: 'When the person signed in; null if that is unknown.' }),
    })
    .meta({ description: 'The sign-in.' }),
  token: z
    .strictObject({
      audience: z
        .string()
        .meta({ description: 'What the token is for: `control`, `audit` or `data:<environment>`.' }),
      scope: z
        .array(z.string())
        .meta({ description: 'The operations that the token is limited to; empty if it is not.' }),
      sender_constrained: z
        .boolean()
        .meta({ description: 'Whether the token is bound to a key of its holder.' }),
      trust_rule: z
        .string()
        .nullable()
        .meta({ description: "The trust rule under which a workload's or an agent's token was issued." }),
      issued_ms: epochMs.optional().meta({
        description:
          "When the token was issued or the session opened; absent for the broker's own principals.",
      }),
    })
    .meta({ description: 'The token of the call.' }),
  started_by: z.array(identifier).min(1).max(2).optional().meta({
    description:
      'The humans who started the job, besides `person`, in canonical form: for an agent, who started its job; for any job that was started again, who did that. They are authors of what it proposes.',
  }),
  act: z.array(identifier).min(1).max(5).optional().meta({
    description:
      "For an agent: the acting workloads' ids, newest first. Only the first is the current actor.",
  }),
});

export type Principal = z.infer<typeof principalSchema>;

/** Whether a name is the id of one principal, rather than a person with all their accounts. Ids are compared exactly. */
export function isPrincipalId(name: string): boolean {
  return /^(?:person|workload|agent):/.test(name);
}

/**
 * The broker's own principals. They are ordinary principals, with roles from the policy's data. Trust rules cannot use
 * their prefix `workload:countersign:`.
 */

/** The principal that applies and expires requests on schedule. */
export const schedulerPrincipal = ownPrincipal('scheduler');

/** The operator who starts the broker on an empty database, and so activates the first bundle. */
export const operatorPrincipal = ownPrincipal('operator');

/** All of the broker's own principals. */
export const ownPrincipals: readonly Principal[] = [schedulerPrincipal, operatorPrincipal];

function ownPrincipal(name: string): Principal {
  return {
    id: `workload:countersign:${name}`,
    kind: 'workload',
    person: null,
    issuer: 'countersign',
    groups: [],
    claims: {},
    auth: { level: 0, acr: null, amr: [], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: true, trust_rule: null },
  };
}
