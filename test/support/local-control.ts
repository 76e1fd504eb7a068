import { v7 as uuidv7 } from 'uuid';
import { rebundle } from '../../fixtures/rebundle.ts';
import { createChecks } from '../../src/activation/checks/checks.ts';
import type { Clock } from '../../src/clock.ts';
import type { ControlDeps } from '../../src/decide/control.ts';
import type { PoliciesOptions } from '../../src/policy/active.ts';
import { readBundle } from '../../src/policy/bundle.ts';
import { activateFirst } from '../../src/policy/first-start.ts';
import { storedPolicies } from '../../src/policy/stored-policies.ts';
import type { Principal } from '../../src/principal.ts';
import { requestKinds } from '../../src/requests/kinds/kinds.ts';
import { storedRevocations } from '../../src/revocation/stored-revocations.ts';
import { openStore } from '../../src/store/database.ts';
import { INPUTS } from './inputs.ts';

/** The control plane over a real store, without HTTP and tokens, for tests that make thousands of calls. */
export async function openControl(options: {
  file: string;
  archive: Buffer;
  clock: Clock;
  editData?: (data: unknown) => unknown;
  policies?: Partial<PoliciesOptions>;
  /** When checkpoints begin, in pages of the log. */
  checkpointAt?: number;
}): Promise<ControlDeps> {
  const { checkpointAt } = options;
  const store = await openStore({
    file: options.file,
    clock: options.clock,
    ...(checkpointAt === undefined ? {} : { walLimits: { checkpointAt, refuseAt: 1_000_000 } }),
  });
  const newId = (nowMs: number) => uuidv7({ msecs: nowMs });
  const archive = await rebundle(options.archive, options.editData ?? ((data) => data));
  await activateFirst({ store, newId }, await readBundle(archive));
  const policies = storedPolicies({ inputs: INPUTS, ...options.policies });
  await policies.refresh(store.read);
  const revocations = storedRevocations(policies);
  const { clock } = options;
  return {
    store,
    policies,
    revocations,
    checks: createChecks({
      ...{ read: store.read, policies, revocations, clock, inputs: INPUTS, state: {} },
      flushUsage: async () => undefined,
    }),
    clock,
    newId,
    kinds: requestKinds,
    acrValuesFor: () => [],
    events: {
      flagsChanged: () => undefined,
      freezesChanged: () => undefined,
      revocationsChanged: () => undefined,
      keysChanged: () => undefined,
      decided: () => undefined,
      stranger: () => undefined,
      used: () => undefined,
    },
  };
}

/** A person of the demo's cast as identity would hand them on. */
export function personOf(name: string, groups: readonly string[], person = name): Principal {
  return {
    id: `person:demo:${name}`,
    kind: 'person',
    person,
    issuer: 'http://127.0.0.1:9401',
    groups: [...groups],
    claims: {},
    auth: { level: 2, acr: null, amr: ['pwd', 'otp'], auth_time_ms: null },
    token: { audience: 'control', scope: [], sender_constrained: false, trust_rule: null },
  };
}
