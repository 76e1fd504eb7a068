import type { z } from 'zod';
import { sha256Hex } from '../json.ts';
import { askedName, OPERATIONS } from '../operations.ts';
import type { Principal } from '../principal.ts';
import { type AccessAnswer, askAccess } from './access.ts';
import { type Bundle, moduleDigest } from './bundle.ts';
import type { BrokerData } from './data.ts';
import { type PolicyResult, RESULT_SCHEMAS, RESULT_VERSION } from './decision.ts';
import { createEngine, type EngineLog } from './engine.ts';
import { GUARDRAILS, GUARDRAILS_VERSION, type GuardedResult } from './guardrails.ts';
import { INPUT_SCHEMA_VERSION, type PolicyInput } from './input.ts';
import type { InputVersions } from './input-versions.ts';
import { withCanonicalPersons } from './persons.ts';
import { createZoneClock, TZDB_VERSION } from './zones.ts';

/*
 * Policy: bundles, the engine that evaluates them, the versions of the input document, guardrails, and the active bundle.
 * A decision is a pure function of bundle and input. Only `engine.ts` uses the WebAssembly SDK.
 */

/** A question to a policy: the input document without the members that this module adds. */
export type Question = Omit<PolicyInput, 'schema_version' | 'clock'>;

/** The members of a question that say which stage decides it. */
export type Decided = Pick<Question, 'operation' | 'environment' | 'request'>;

/** The versions of schemas and guardrails that a decision was made with. */
export interface DecisionVersions {
  input: number;
  result: number;
  guardrails: number;
}

/** A policy's answer with everything needed to replay it. */
export interface Decision extends GuardedResult {
  versions: DecisionVersions;
  policy_hash: string;
  /** The input as JSON text: exactly the bytes that were evaluated and are stored for replay. */
  input_json: string;
  /** `sha256:` and hex over `input_json`. */
  input_digest: string;
  /** The stage whose policy decided; absent if one policy decides everything. */
  stage?: string;
}

/** One bundle, instantiated. */
export interface Policy {
  hash: string;
  revision: string;
  /** `sha256:` and hex over the module. */
  module: string;
  broker: BrokerData;
  /** The bundle's data, for explanations. */
  data: unknown;
  /** The policies of earlier stages, by the name of the stage. Empty for a policy by itself. */
  earlier: ReadonlyMap<string, Policy>;
  /** The policy that decides a question: that of its stage, or itself. */
  deciding(question: Decided): Policy;
  /** The `clock` of an input of that time. */
  clockAt(ms: number): PolicyInput['clock'];
  /**
   * Decides one question at one time. The bundle gets the operation under a name that it knows. A pure function of bundle,
   * question and `nowMs` (design invariant 2).
   *
   * Never throws: a question that lacks a fact is denied with `missing_fact`.
   */
  decide(question: Question, nowMs: number): Decision;
  /** The bundle's own answer to an input, which no guardrail overrules: for decision cases. Never throws. */
  answer(inputJson: string): PolicyResult;
  /**
   * Evaluates a stored input again, with the versions of the original decision.
   *
   * @throws Error for a version that this broker does not know
   */
  replay(inputJson: string, versions: DecisionVersions): GuardedResult;
  /** Whether this broker can replay decisions of these versions. */
  knows(versions: DecisionVersions): boolean;
  /**
   * Who can do what under this policy; null if the bundle has no `countersign/access`.
   *
   * The answer for each principal depends on the groups, claims and trust rule in the given document.
   *
   * @throws Error if the bundle's answer is malformed
   */
  access(principals: readonly Principal[]): AccessAnswer | null;
}

/** The dependencies of a policy. */
export interface PolicyDeps {
  /** The versions of the input document, for the known kinds of requests. */
  inputs: InputVersions;
  log?: EngineLog;
}

/** Instantiates a bundle. @throws BundleError if its module cannot be used */
export async function createPolicy(bundle: Bundle, { inputs, log }: PolicyDeps): Promise<Policy> {
  const engine = await createEngine(bundle, log);
  const readZones = createZoneClock(bundle.broker.zones);
  const reads = versionOf(inputs, bundle.broker.input_version, 'input');
  const versions = {
    input: bundle.broker.input_version,
    result: RESULT_VERSION,
    guardrails: GUARDRAILS_VERSION,
  };

  const clockAt = (ms: number) => ({ now_ms: ms, tzdb: TZDB_VERSION, zones: readZones(ms) });

  function evaluate(document: unknown, inputJson: string, used: DecisionVersions): GuardedResult {
    const fault = findFault(versionOf(inputs, used.input, 'input').schema, document);
    if (fault !== null) return missingFact(fault);
    const overrule = versionOf(GUARDRAILS, used.guardrails, 'guardrails');
    // Guardrails read only members that are the same in every version of the document.
    const result = engine.evaluate(inputJson, versionOf(RESULT_SCHEMAS, used.result, 'result'));
    return overrule(document as PolicyInput, result, bundle.broker);
  }

  const policy: Policy = {
    hash: bundle.hash,
    revision: bundle.revision,
    module: moduleDigest(bundle),
    earlier: new Map(),
    deciding: () => policy,
    broker: bundle.broker,
    data: bundle.data,
    clockAt,
    decide: (question, nowMs) => {
      const document = reads.from({
        schema_version: INPUT_SCHEMA_VERSION,
        ...withCanonicalPersons(question),
        // An older bundle may get the operation under its former name; the input has the name that was used.
        operation: askedName(question.operation, bundle.broker.operations, OPERATIONS),
        clock: clockAt(nowMs),
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
    answer: (inputJson) => engine.evaluate(inputJson),
    replay: (inputJson, used) => evaluate(JSON.parse(inputJson), inputJson, used),
    knows: ({ input, result, guardrails }) =>
      inputs.has(input) && RESULT_SCHEMAS.has(result) && GUARDRAILS.has(guardrails),
    access: (principals) => askAccess(principals, engine.access),
  };
  return policy;
}

function versionOf<T>(known: ReadonlyMap<number, T>, version: number, what: string): T {
  const found = known.get(version);
  if (found === undefined) throw new Error(`this broker does not support version ${version} of ${what}`);
  return found;
}

/** A bug in the broker, or a document that is too large: either way the policy is not evaluated. */
function findFault(schema: z.ZodType, document: unknown): string | null {
  if (schema.validate(document)) return null;
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
