import { readFileSync } from 'node:fs';
import { readBundle } from '../src/policy/bundle.ts';
import type { PolicyInput } from '../src/policy/input.ts';
import { NO_EMERGENCY } from '../src/policy/input.ts';
import { inputVersions } from '../src/policy/input-versions.ts';
import { createPolicy } from '../src/policy/policies.ts';
import { REQUEST_KINDS } from '../src/requests/kinds/kinds.ts';
import { toInputRequest } from '../src/requests/request.ts';
import { serve } from './child.ts';
import { openFloorPolicy } from './floor-policy.ts';
import { readTemplateFile } from './templates.ts';

/**
 * Decisions in process, one after the other: building the input from a request, validating it, its text and digest,
 * evaluation, reading the answer. The floor is the SDK's evaluation of the same input alone. Arguments: bundle,
 * templates.
 */

/** Which of the two, and for how long. */
export interface DecideRun {
  part: 'product' | 'floor';
  measureMs: number;
}

const [bundleFile = '', templatesFile = ''] = process.argv.slice(2);
const templates = readTemplateFile(templatesFile);
const input = templates.toggle.steps[0]?.input as unknown as PolicyInput;
const policy = await createPolicy(await readBundle(readFileSync(bundleFile)), {
  inputs: inputVersions(REQUEST_KINDS),
});
const floor = await openFloorPolicy(bundleFile);
const request = requestOf(input);

function decideOnce(): void {
  const { operation, principal, environment, clock } = input;
  const decision = policy.decide(
    {
      operation,
      principal,
      environment,
      namespace: null,
      request: toInputRequest(request),
      approvals: [],
      rejections: [],
      emergency: NO_EMERGENCY,
    },
    clock.now_ms,
  );
  if (decision.effect !== 'allow') throw new Error(JSON.stringify(decision));
}

function evaluateOnce(): void {
  if (floor.evaluate(input).effect !== 'allow') throw new Error('the floor did not allow');
}

/** The request that the input was built from, as the control plane holds it. */
function requestOf({
  request: known,
  environment,
  principal,
}: PolicyInput): Parameters<typeof toInputRequest>[0] {
  if (known === null) throw new Error('the template has no request');
  const { reason, ticket, changes, object, created_ms, kind, ...rest } = known;
  if (kind !== 'flag.change') throw new Error(`the template's request is of kind ${kind}`);
  return {
    ...rest,
    kind,
    created_ms,
    environment: environment?.key ?? null,
    state: 'pending',
    revision: 0,
    content: { kind, reason, ticket, apply: 'auto', start_ms: null },
    plan: { version: 1, changes, object, bases: [] },
    proposer: principal,
    updated_ms: created_ms,
    expires_ms: created_ms,
    due_ms: null,
    held_by: [],
    demands: [],
    standing: { effect: 'deny', reasons: [], obligations: [], policy_hash: policy.hash, at_ms: created_ms },
    decision_id: '',
  };
}

/** @returns how many a second */
async function measure({ part, measureMs }: DecideRun): Promise<number> {
  const once = part === 'product' ? decideOnce : evaluateOnce;
  for (let count = 0; count < 2000; count += 1) once();
  const fromMs = performance.now();
  let count = 0;
  while (performance.now() - fromMs < measureMs) {
    for (let each = 0; each < 50; each += 1) once();
    count += 50;
  }
  return (count * 1000) / (performance.now() - fromMs);
}

serve<DecideRun>({ answer: measure, end: async () => undefined });
