import { sha256Hex } from '../json.ts';
import type { Principal } from '../principal.ts';
import { type AccessAnswer, askAccess } from './access.ts';
import type { Bundle } from './bundle.ts';
import type { BrokerData } from './data.ts';
import type { PolicyResult } from './decision.ts';
import { createEngine } from './engine.ts';
import { applyGuardrails } from './guardrails.ts';
import { INPUT_SCHEMA_VERSION, inputSchema, type PolicyInput } from './input.ts';
import { createZoneClock, TZDB_VERSION } from './zones.ts';

/** What is asked of a policy: the input document without what the policy module itself adds. */
export type Question = Omit<PolicyInput, 'schema_version' | 'clock'>;

/** A policy's answer with everything needed to replay it. */
export interface Decision extends PolicyResult {
  policy_hash: string;
  /** The input as JSON text: to the byte what was evaluated, and what is kept for replay. */
  input_json: string;
  /** `sha256:` and hex over `input_json`. */
  input_digest: string;
}

/** One bundle, instantiated. */
export interface Policy {
  hash: string;
  revision: string;
  broker: BrokerData;
  /**
   * Decides one question at one moment. A pure function of bundle, question and `nowMs` (design invariant 2).
   *
   * Never throws: a question that lacks a fact is denied with `missing_fact`.
   */
  decide(question: Question, nowMs: number): Decision;
  /** Evaluates a stored input again, for replay. */
  replay(inputJson: string): PolicyResult;
  /**
   * Who can do what under this policy; null when the bundle does not say (it has no `countersign/access`).
   *
   * Each principal gets the answer for what it shows: the groups, claims and trust rule in the document given.
   *
   * @throws Error when the bundle's answer is not usable
   */
  access(principals: readonly Principal[]): AccessAnswer | null;
}

/** The one name, in lower case, of the human that a person's name stands for under a policy. */
export function humanOf({ broker }: Policy, person: string): string {
  const name = person.toLowerCase();
  return broker.persons.get(name) ?? name;
}

/** Instantiates a bundle. @throws BundleError when its module cannot be used */
export async function createPolicy(bundle: Bundle): Promise<Policy> {
  const engine = await createEngine(bundle);
  const readZones = createZoneClock(bundle.broker.zones);

  function evaluate(input: PolicyInput, inputJson: string): PolicyResult {
    const fault = findFault(input);
    if (fault !== null) return missingFact(fault);
    return applyGuardrails(input, engine.evaluate(inputJson), bundle.broker.persons);
  }

  return {
    hash: bundle.hash,
    revision: bundle.revision,
    broker: bundle.broker,
    decide: (question, nowMs) => {
      const input: PolicyInput = {
        schema_version: INPUT_SCHEMA_VERSION,
        ...question,
        clock: { now_ms: nowMs, tzdb: TZDB_VERSION, zones: readZones(nowMs) },
      };
      const inputJson = JSON.stringify(input);
      return {
        ...evaluate(input, inputJson),
        policy_hash: bundle.hash,
        input_json: inputJson,
        input_digest: `sha256:${sha256Hex(inputJson)}`,
      };
    },
    replay: (inputJson) => evaluate(JSON.parse(inputJson) as PolicyInput, inputJson),
    access: (principals) => askAccess(principals, engine.access),
  };
}

/** The broker's own mistake, or a document too large: either way nothing that policy should be asked. */
function findFault(input: PolicyInput): string | null {
  const parsed = inputSchema.safeParse(input);
  if (parsed.success) return null;
  const issue = parsed.error.issues[0];
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
}

function missingFact(fault: string): PolicyResult {
  return {
    effect: 'deny',
    reasons: [
      { code: 'missing_fact', detail: `The input document is not complete: ${fault}`.slice(0, 2000) },
    ],
    obligations: [],
    limits: {},
  };
}
