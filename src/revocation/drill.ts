import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { authorize } from '../decide/authorize.ts';
import type { Call, ControlDeps } from '../decide/control.ts';
import { Refused } from '../decide/refused.ts';
import { write } from '../decide/write.ts';
import { BrokerError } from '../errors.ts';
import { nameAtIssuer } from '../identity/credential.ts';
import type { IssuedClaims } from '../identity/workload.ts';
import type { SigningKeys } from '../keys/signing-keys.ts';
import { epochMs } from '../moment.ts';
import { revoke } from './revoke.ts';

/** The subject of the drill's token. It has no role, and trust rules cannot name it. */
export const DRILL_PRINCIPAL = 'workload:countersign:drill';

/** The lifetime of the drill's token, if it were not revoked. */
const LIFE_S = 60;

/** The dependencies of {@link runDrill}. */
export interface DrillDeps {
  control: ControlDeps;
  signingKeys: Pick<SigningKeys, 'signer'>;
  /** The broker's public URL: the `iss` of its tokens. */
  issuer: string;
  /** Calls this broker with a token, as any client would. @returns the status of the answer, 0 for none */
  use: (token: string) => Promise<number>;
}

/** One step of the drill. */
const drillStepSchema = z.object({
  step: z.enum(['mint', 'use', 'revoke', 'refuse']),
  at_ms: epochMs,
  ok: z.boolean(),
  detail: z.string(),
  decision_id: z
    .string()
    .nullable()
    .meta({ description: 'The record of the step; null if the step has none.' }),
});
export type DrillStep = z.infer<typeof drillStepSchema>;

/** The report of a drill. */
export const drillReportSchema = z
  .object({
    id: z.string(),
    outcome: z.enum(['passed', 'failed']),
    token_id: z.string().meta({ description: 'The id of the revoked token.' }),
    revocation: z.string().nullable().meta({ description: 'The revocation; null if it was not added.' }),
    steps: z.array(drillStepSchema),
    decision_id: z.string().meta({ description: 'The record of the outcome, for auditors to cite.' }),
  })
  .meta({ id: 'DrillReport' });
export type DrillReport = z.infer<typeof drillReportSchema>;

/**
 * Proves on the running broker that revocation works: issues a token, uses it, revokes it, and uses it again. The report
 * and the record of the outcome list every step, including those that failed.
 *
 * @throws BrokerError `policy_denied`; `not_recorded` if the outcome could not be recorded
 */
export async function runDrill(deps: DrillDeps, call: Call): Promise<DrillReport> {
  const { control } = deps;
  const drill = { id: control.newId(control.clock()), token_id: `jti:${randomUUID()}` };
  // 1. Decide, and record the token that will be issued.
  const sign = await deps.signingKeys.signer();
  const begun = await recordStep(
    deps,
    call,
    'drill_begun',
    `Drill ${drill.id} issues the token ${drill.token_id}.`,
  );
  const token = await sign(claimsOf(deps, { token_id: drill.token_id, policy_hash: begun.policy_hash }));
  const steps: DrillStep[] = [
    {
      step: 'mint',
      at_ms: control.clock(),
      ok: true,
      detail: drill.token_id,
      decision_id: begun.decision_id,
    },
  ];
  // 2. Use the token, revoke it, and check that it is refused.
  steps.push(await useStep(deps, token, { step: 'use', expected: 200 }));
  const revoked = await revokeStep(deps, call, drill);
  steps.push(revoked.step);
  steps.push(await useStep(deps, token, { step: 'refuse', expected: 401 }));
  // 3. Record the outcome.
  const outcome = steps.every(({ ok }) => ok) ? 'passed' : 'failed';
  const told = steps.map(({ step, ok, detail }) => `${step} ${ok ? 'ok' : 'FAILED'} (${detail})`).join(', ');
  const { decision_id } = await recordStep(deps, call, `drill_${outcome}`, `Drill ${drill.id}: ${told}.`);
  return { ...drill, outcome, revocation: revoked.id, steps, decision_id };
}

function claimsOf(
  { control, issuer }: DrillDeps,
  { token_id, policy_hash }: { token_id: string; policy_hash: string },
): IssuedClaims {
  const iat = Math.floor(control.clock() / 1000);
  return {
    iss: issuer,
    aud: 'control',
    sub: DRILL_PRINCIPAL,
    client_id: 'countersign',
    iat,
    exp: iat + LIFE_S,
    jti: token_id.slice('jti:'.length),
    // A token for the control plane names an operation; this one grants nothing without a role.
    scope: 'request.read',
    policy_hash,
    trust_rule: 'countersign',
    subject_issuer: 'countersign',
    claims: {},
    person: null,
  };
}

async function useStep(
  { control, use }: DrillDeps,
  token: string,
  { step, expected }: { step: 'use' | 'refuse'; expected: number },
): Promise<DrillStep> {
  const status = await use(token);
  const detail = status === expected ? `answered ${status}` : `answered ${status}, expected ${expected}`;
  return { step, at_ms: control.clock(), ok: status === expected, detail, decision_id: null };
}

/** The decision and the revocation in one write, as in a real revocation. */
async function revokeStep(
  { control, issuer }: DrillDeps,
  call: Call,
  drill: { id: string; token_id: string },
): Promise<{ id: string | null; step: DrillStep }> {
  const step = { step: 'revoke', at_ms: control.clock() } as const;
  const asked = {
    kind: 'token',
    value: nameAtIssuer(issuer, drill.token_id),
    issued_before_ms: null,
    incident: `drill ${drill.id}`,
    reason: 'A revocation drill.',
  } as const;
  try {
    return await write(control, call, async (writing) => {
      const authorized = await authorize(writing, {
        operation: 'revocation.drill',
        revocation: asked,
        note: { code: 'revocation', detail: `token ${asked.value}` },
      });
      if (authorized instanceof Refused) return authorized;
      const expires_ms = writing.now_ms + 2 * LIFE_S * 1000;
      const { row } = await revoke(writing, { ...asked, cause: 'incident', expires_ms });
      return {
        id: row.id,
        step: { ...step, ok: true, detail: row.id, decision_id: authorized.decision_id },
      };
    });
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    return { id: null, step: { ...step, ok: false, detail: error.code, decision_id: null } };
  }
}

async function recordStep(
  deps: DrillDeps,
  call: Call,
  code: string,
  detail: string,
): Promise<{ decision_id: string; policy_hash: string }> {
  return write(deps.control, call, async (writing) => {
    const authorized = await authorize(writing, {
      operation: 'revocation.drill',
      note: { code, detail },
    });
    if (authorized instanceof Refused) return authorized;
    return { decision_id: authorized.decision_id, policy_hash: writing.policy.hash };
  });
}
