import type { z } from 'zod';
import { sha256Hex } from '../json.ts';
import { askedName, OPERATIONS } from '../operations.ts';
import type { Principal } from '../principal.ts';
import { type AccessAnswer, askAccess } from './access.ts';
import type { Bundle } from './bundle.ts';
import type { BrokerData } from './data.ts';
import { type PolicyResult, RESULT_SCHEMAS, RESULT_VERSION } from './decision.ts';
import { createEngine, type EngineLog } from './engine.ts';
import { GUARDRAILS, GUARDRAILS_VERSION, type GuardedResult } from './guardrails.ts';
import { INPUT_SCHEMA_VERSION, type PolicyInput } from './input.ts';
import type { InputVersions } from './input-versions.ts';
import { createZoneClock, TZDB_VERSION } from './zones.ts';

/*
 * Policy: bundles, the engine that evaluates them, the input document in its versions, guardrails, and which bundle is active.
 * A decision is a pure function of bundle and input. The WebAssembly SDK is known to `engine.ts` alone.
 */

/** What is asked of a policy: the input document without what the policy module itself adds. */
export type Question = Omit<PolicyInput, 'schema_version' | 'clock'>;

/** The versions of what a decision was made with, besides the bundle. */
export interface DecisionVersions {
  input: number;
  result: number;
  guardrails: number;
}

/** A policy's answer with everything needed to replay it. */
export interface Decision extends GuardedResult {
  versions: DecisionVersions;
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
   * Decides one question at one moment, about an operation under the name that the bundle knows it by. A pure function
   * of bundle, question and `nowMs` (design invariant 2).
   *
   * Never throws: a question that lacks a fact is denied with `missing_fact`.
   */
  decide(question: Question, nowMs: number): Decision;
  /**
   * Evaluates a stored input again, with what it was decided with then.
   *
   * @throws Error for a version that this broker does not know
   */
  replay(inputJson: string, versions: DecisionVersions): PolicyResult;
  /**
   * Who can do what under this policy; null when the bundle does not say (it has no `countersign/access`).
   *
   * Each principal gets the answer for what it shows: the groups, claims and trust rule in the document given.
   *
   * @throws Error when the bundle's answer is not usable
   */
  access(principals: readonly Principal[]): AccessAnswer | null;
}

/** What a bundle is instantiated with. */
export interface PolicyDeps {
  /** The versions of the input document, for the kinds of requests that there are. */
  inputs: InputVersions;
  log?: EngineLog;
}

/** Instantiates a bundle. @throws BundleError when its module cannot be used */
export async function createPolicy(bundle: Bundle, { inputs, log }: PolicyDeps): Promise<Policy> {
  const engine = await createEngine(bundle, log);
  const readZones = createZoneClock(bundle.broker.zones);
  const reads = versionOf(inputs, bundle.broker.input_version, 'input');
  const versions = {
    input: bundle.broker.input_version,
    result: RESULT_VERSION,
    guardrails: GUARDRAILS_VERSION,
  };

  function evaluate(document: unknown, inputJson: string, used: DecisionVersions): PolicyResult {
    const fault = findFault(versionOf(inputs, used.input, 'input').schema, document);
    if (fault !== null) return missingFact(fault);
    const overrule = versionOf(GUARDRAILS, used.guardrails, 'guardrails');
    // Guardrails read what is the same in every version of the document.
    const result = engine.evaluate(inputJson, versionOf(RESULT_SCHEMAS, used.result, 'result'));
    return overrule(document as PolicyInput, result, bundle.broker.persons);
  }

  return {
    hash: bundle.hash,
    revision: bundle.revision,
    broker: bundle.broker,
    decide: (question, nowMs) => {
      const document = reads.from({
        schema_version: INPUT_SCHEMA_VERSION,
        ...question,
        // An older bundle is asked under the name that it knows: the input says what was really asked.
        operation: askedName(question.operation, bundle.broker.operations, OPERATIONS),
        clock: { now_ms: nowMs, tzdb: TZDB_VERSION, zones: readZones(nowMs) },
      });
      const inputJson = JSON.stringify(document);
      return {
        ...evaluate(document, inputJson, versions),
        versions,
        policy_hash: bundle.hash,
        input_json: inputJson,
        input_digest: `sha256:${sha256Hex(inputJson)}`,
      };
    },
    replay: (inputJson, used) => evaluate(JSON.parse(inputJson), inputJson, used),
    access: (principals) => askAccess(principals, engine.access),
  };
}

function versionOf<T>(known: ReadonlyMap<number, T>, version: number, what: string): T {
  const found = known.get(version);
  if (found === undefined) throw new Error(`this broker does not know version ${version} of ${what}`);
  return found;
}

/** The broker's own mistake, or a document too large: either way nothing that policy should be asked. */
function findFault(schema: z.ZodType, document: unknown): string | null {
  const parsed = schema.safeParse(document);
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
