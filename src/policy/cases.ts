import { z } from 'zod';
import { canonicalJson } from '../json.ts';
import { describeFaults } from '../schema-faults.ts';
import type { BundleFiles } from './archive.ts';
import { BundleError } from './bundle-error.ts';
import { parseBundleJson } from './bundle-json.ts';
import { type PolicyResult, policyResultSchema } from './decision.ts';
import { INPUT_SCHEMA_VERSION, type PolicyInput } from './input.ts';
import type { InputVersions } from './input-versions.ts';

/*
 * Decision cases: inputs with the decision that a policy is expected to make. A bundle brings its own, in `cases/`. They are
 * about the policy alone, so guardrails do not overrule them, and an interpreter of Rego gives the same answers.
 */

/** The folder of the cases in a bundle. */
const FOLDER = 'cases/';
/** The file with what cases have in common, without its ending. */
const BASE = 'base';
/** All files of cases together, as they are written. */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_CASES = 10_000;
/** One input as JSON text, in characters. A base is laid under every case. */
const MAX_INPUT_CHARS = 1024 * 1024;
/** The most faults that are described; each costs time. */
const MAX_FAULTS = 20;

const part = z.record(z.string(), z.unknown());
const names = z.array(z.string()).max(1000);

const baseSchema = z.strictObject({
  /** The input that every case starts with. */
  input: part.default({}),
  /** The change of a flag that every change of a case starts with. */
  change: part.default({}),
  /** Votes by name. */
  votes: z.record(z.string(), part).default({}),
  /** Parts of an input by name. */
  parts: z.record(z.string(), part).default({}),
});

const expectedSchema = z.strictObject({
  effect: policyResultSchema.shape.effect,
  /** The codes of all reasons, in order. */
  reasons: z.array(z.string()).optional(),
  obligations: z.array(part).optional(),
  /** Limits that the decision must give; it may give others. */
  limits: part.optional(),
});

const caseSchema = z
  .strictObject({
    name: z.string().min(1).max(300),
    /** The recorded decision that it was made from. */
    decision: z.string().max(100).optional(),
    /** The whole input, without anything of the base. */
    whole_input: part.optional(),
    use: names.optional(),
    changes: z.array(part).max(1000).optional(),
    approvals: names.optional(),
    rejections: names.optional(),
    input: part.optional(),
    expected: expectedSchema,
  })
  .refine(
    ({ whole_input, use, changes, approvals, rejections, input }) =>
      whole_input === undefined || [use, changes, approvals, rejections, input].every((x) => x === undefined),
    { message: 'whole_input stands alone: leave out use, changes, approvals, rejections and input' },
  );

/** One decision case. Everything but `whole_input` is laid over the base, from left to right. */
export type DecisionCase = z.infer<typeof caseSchema>;
type Base = z.infer<typeof baseSchema>;
type Part = z.infer<typeof part>;

/** The decision cases of a bundle. */
export interface DecisionCases {
  base: Base;
  /** The cases by file, without folder and ending; in the order of the names. */
  files: ReadonlyMap<string, readonly DecisionCase[]>;
}

/**
 * The decision cases of a bundle: `cases/*.json`, in whichever folder below. No case is no fault.
 *
 * @throws BundleError for a file that is too large, no JSON, of another shape, or has two cases of one name, and for a case
 *   that names what the base does not have
 */
export function readCases(files: BundleFiles): DecisionCases {
  const paths = [...files.keys()]
    .filter((path) => path.startsWith(FOLDER) && path.endsWith('.json') && !/(^|\/)data\.json$/.test(path))
    .toSorted();
  const bytes = paths.reduce((sum, path) => sum + (files.get(path)?.length ?? 0), 0);
  if (bytes > MAX_BYTES) {
    throw new BundleError(
      `the files in ${FOLDER} have ${bytes} bytes; at most ${MAX_BYTES} are accepted: have fewer cases, or a larger base`,
    );
  }
  const basePath = `${FOLDER}${BASE}.json`;
  const base = paths.includes(basePath) ? read(basePath, files, baseSchema) : baseSchema.parse({});
  const found = new Map<string, DecisionCase[]>();
  let count = 0;
  for (const path of paths.filter((each) => each !== basePath)) {
    const cases = read(path, files, z.array(caseSchema));
    assertOwnNames(path, cases);
    for (const each of cases) assertNamed(path, each, base);
    count += cases.length;
    found.set(path.slice(FOLDER.length, -'.json'.length), cases);
  }
  if (count > MAX_CASES) throw new BundleError(`${count} decision cases; at most ${MAX_CASES} are accepted`);
  return { base, files: found };
}

function read<T>(path: string, files: BundleFiles, schema: z.ZodType<T>): T {
  let document: unknown;
  try {
    document = parseBundleJson(files.get(path) ?? Buffer.alloc(0));
  } catch (error) {
    throw new BundleError(`${path} of the bundle is invalid: ${(error as Error).message}`, error);
  }
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.slice(0, MAX_FAULTS);
  const faults = describeFaults(schema, document, { ...parsed.error, issues });
  const lines = faults.map((fault) => `  /${fault.path.map(String).join('/')}: ${fault.detail}`);
  throw new BundleError(`${path} of the bundle has no decision cases:\n${lines.join('\n')}`);
}

function assertOwnNames(path: string, cases: readonly DecisionCase[]): void {
  const seen = new Set<string>();
  for (const { name } of cases) {
    if (seen.has(name)) throw new BundleError(`${path} of the bundle has two cases of the name "${name}"`);
    seen.add(name);
  }
}

function assertNamed(path: string, example: DecisionCase, { votes, parts }: Base): void {
  const missing = [
    ...(example.use ?? []).filter((name) => !Object.hasOwn(parts, name)).map((name) => `part "${name}"`),
    ...[...(example.approvals ?? []), ...(example.rejections ?? [])]
      .filter((name) => !Object.hasOwn(votes, name))
      .map((name) => `vote "${name}"`),
  ];
  if (missing.length === 0) return;
  throw new BundleError(`${path}: ${example.name}: ${FOLDER}${BASE}.json has no ${missing.join(', no ')}`);
}

/** The input of a case: the base, the changes, the named parts, the votes, the case's own members. Lists are replaced. */
export function caseInput({ base }: DecisionCases, example: DecisionCase): unknown {
  if (example.whole_input !== undefined) return example.whole_input;
  const votes = (wanted: readonly string[] = []) => wanted.map((name) => base.votes[name] ?? {});
  const layers: Part[] = [
    { request: { changes: (example.changes ?? []).map((change) => union(base.change, change)) } },
    ...(example.use ?? []).map((name) => base.parts[name] ?? {}),
    { approvals: votes(example.approvals), rejections: votes(example.rejections) },
    example.input ?? {},
  ];
  return layers.reduce<unknown>(union, base.input);
}

/** `object.union` of Rego: objects are merged, everything else is replaced. */
function union(left: unknown, right: unknown): unknown {
  if (!isObject(left) || !isObject(right)) return right;
  const merged = new Map(Object.entries(left));
  for (const [key, value] of Object.entries(right)) merged.set(key, union(merged.get(key), value));
  return Object.fromEntries(merged);
}

function isObject(value: unknown): value is Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One case, ready to be asked. */
export interface CaseQuestion {
  /** The file and the name of the case, such as `tiers: on in production`. */
  name: string;
  expected: DecisionCase['expected'];
  /** The input as the policy reads it, or what is wrong with it. */
  asked: { input_json: string; operation: string } | { fault: string };
}

/**
 * The questions of all cases, one after the other.
 *
 * @param options.inputs the versions of the input document
 * @param options.version the one that the bundle reads
 */
export function* caseQuestions(
  cases: DecisionCases,
  { inputs, version }: { inputs: InputVersions; version: number },
): Generator<CaseQuestion> {
  for (const [file, examples] of cases.files) {
    for (const example of examples) {
      yield {
        name: `${file}: ${example.name}`,
        expected: example.expected,
        asked: askedOf(caseInput(cases, example), { inputs, version }),
      };
    }
  }
}

function askedOf(
  document: unknown,
  { inputs, version }: { inputs: InputVersions; version: number },
): CaseQuestion['asked'] {
  const written = isObject(document) ? document.schema_version : undefined;
  const schema = typeof written === 'number' ? inputs.get(written)?.schema : undefined;
  if (schema === undefined) {
    return { fault: `/schema_version: expected one of ${[...inputs.keys()].join(', ')}` };
  }
  const parsed = schema.safeParse(document);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { fault: `not an input: /${issue?.path.map(String).join('/') ?? ''}: ${issue?.message ?? ''}` };
  }
  const isCurrent = written === INPUT_SCHEMA_VERSION;
  if (!isCurrent && written !== version) {
    return { fault: `it has version ${written} of the input, and the policy reads version ${version}` };
  }
  const converted = isCurrent ? inputs.get(version)?.from(document as PolicyInput) : document;
  const input_json = JSON.stringify(converted);
  return input_json.length > MAX_INPUT_CHARS
    ? { fault: `its input has ${input_json.length} characters; at most ${MAX_INPUT_CHARS} are accepted` }
    : { input_json, operation: (document as PolicyInput).operation };
}

/** A case that a policy does not pass. */
export interface FailedCase {
  name: string;
  /** How the answer differs from what is expected, in a short sentence. */
  detail: string;
}

/** How an answer differs from what a case expects; null if it does not. */
export function caseDifference(expected: DecisionCase['expected'], result: PolicyResult): string | null {
  const reasons = result.reasons.map(({ code }) => code);
  if (result.effect !== expected.effect) {
    const why = result.reasons.map(({ code, detail }) => `${code}: ${detail}`).join('; ');
    return `expected ${expected.effect}, got ${result.effect} (${why.slice(0, 500)})`;
  }
  if (expected.reasons !== undefined && !isSame(expected.reasons, reasons)) {
    return `expected the reasons ${shown(expected.reasons)}, got ${shown(reasons)}`;
  }
  if (expected.obligations !== undefined && !isSame(expected.obligations, result.obligations)) {
    return `expected the obligations ${shown(expected.obligations)}, got ${shown(result.obligations)}`;
  }
  for (const [name, value] of Object.entries(expected.limits ?? {})) {
    const given = (result.limits as Part)[name] ?? null;
    if (!isSame(value, given)) return `expected the limit ${name} ${shown(value)}, got ${shown(given)}`;
  }
  return null;
}

function isSame(one: unknown, other: unknown): boolean {
  return canonicalJson(one) === canonicalJson(other);
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 500);
}

/** The outcome of a bundle's cases. */
export interface CasesOutcome {
  passed: number;
  failed: FailedCase[];
}

/**
 * Asks a policy all of its cases, on this thread.
 *
 * @param policy.evaluate the bundle's engine
 * @param policy.version the version of the input that the bundle reads
 */
export function runCases(
  {
    evaluate,
    ...read
  }: { evaluate: (inputJson: string) => PolicyResult; inputs: InputVersions; version: number },
  cases: DecisionCases,
): CasesOutcome {
  const outcome: CasesOutcome = { passed: 0, failed: [] };
  for (const { name, expected, asked } of caseQuestions(cases, read)) {
    const detail = 'fault' in asked ? asked.fault : caseDifference(expected, evaluate(asked.input_json));
    if (detail === null) outcome.passed += 1;
    else outcome.failed.push({ name, detail });
  }
  return outcome;
}
