import { z } from 'zod';
import { epochMs } from './moment.ts';

/** A short name. */
export const identifier = z.string().min(1).max(512);

/** The caller, in the policy's input. */
export const principalSchema = z.strictObject({
  /** `person:<issuer key>:<sub>`, `workload:<trust rule>:<sub>`, `agent:…`; `workload:countersign:scheduler` is the broker's own. */
  id: identifier,
  kind: z.enum(['person', 'workload', 'agent']),
  /**
   * The human behind the principal, in canonical form: for a workload, the person who triggered it, if known; for an
   * agent, its sponsor, the person it acts for.
   */
  person: identifier.nullable(),
  /** The `iss` that authenticated the principal. */
  issuer: identifier,
  groups: z.array(z.string().max(512)).max(1000),
  /**
   * When groups and claims were last seen at an authentication. Present for the proposer and the voters of a request that is
   * to be applied, unless they are workloads: groups and claims are then those, and not the ones of their own act.
   */
  groups_seen_ms: epochMs.optional(),
  /** The verified claims that the configuration (people) or the trust rule (workloads) passes on. */
  claims: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])),
  auth: z.strictObject({
    /** Strength of the sign-in as configured for the issuer: 0 unknown, 1 single factor, 2 multi-factor, 3 phishing-resistant. */
    level: z.int().min(0).max(9),
    acr: z.string().nullable(),
    amr: z.array(z.string()),
    auth_time_ms: epochMs.nullable(),
  }),
  token: z.strictObject({
    audience: z.string(),
    scope: z.array(z.string()),
    sender_constrained: z.boolean(),
    /** The trust rule under which a workload's or an agent's token was issued. */
    trust_rule: z.string().nullable(),
    /** When the token was issued or the session opened; absent for the broker's own principals. */
    issued_ms: epochMs.optional(),
  }),
  /**
   * The humans who started the job, besides `person`, in canonical form: for an agent, who started its job; for any job
   * that was started again, who did that. They are authors of what it proposes.
   */
  started_by: z.array(identifier).min(1).max(2).optional(),
  /** For an agent: the acting workloads' ids, newest first. Only the first is the current actor. @see RFC 8693 section 4.1 */
  act: z.array(identifier).min(1).max(5).optional(),
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
