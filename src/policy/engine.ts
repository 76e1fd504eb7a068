import { loadPolicy } from '@open-policy-agent/opa-wasm';
import type { z } from 'zod';
import { ACCESS_ENTRYPOINT } from './access.ts';
import { type Bundle, BundleError, ENTRYPOINT } from './bundle.ts';
import { compiledResultSchema, type PolicyResult } from './decision.ts';
import { memoryOf } from './module.ts';

/**
 * The only file that uses the WebAssembly SDK. It handles the pitfalls of the SDK: thrown strings, undefined results (an
 * empty, truthy array), silently dropped inputs, unbounded memory, built-ins that the host does not provide.
 */
export interface Engine {
  /**
   * Evaluates `countersign/decision`. Synchronous, so there is only one caller at a time.
   *
   * Takes the input as JSON text, so that the evaluated bytes are exactly those that are stored for replay.
   *
   * @param schema the schema of the answer; default: the current version
   *
   * Never throws: an undefined result, an unexpected shape or an engine fault is a `deny` with the reason
   * `policy_undefined`, `policy_malformed` or `policy_error` (deny by default, design invariant 3).
   */
  evaluate(inputJson: string, schema?: z.ZodType<PolicyResult>): PolicyResult;
  /**
   * Evaluates `countersign/access`; null if the bundle has no such entry point.
   *
   * @throws Error if the engine fails or has no answer
   */
  access(inputJson: string): unknown;
}

const encoder = new TextEncoder();

/** A page of WebAssembly's memory, in bytes. */
const PAGE_BYTES = 65_536;

type Loaded = Awaited<ReturnType<typeof loadPolicy>>;

/** One instance of a module with its data. */
interface Instance {
  entrypoints: Readonly<Record<string, number>>;
  /** @returns what the module has at the entry point. @throws whatever a fault of the module throws */
  evaluate(entrypoint: string, inputJson: string): unknown;
}

/** The memory of a module. */
interface Memory {
  buffer: ArrayBuffer;
  grow(pages: number): void;
}

/** What OPA's interface gives for an evaluation in one call (OPA documentation, "WebAssembly", "Exports"). */
interface Exports {
  opa_eval(
    reserved: 0,
    entrypoint: number,
    data: number,
    input: number,
    inputBytes: number,
    heap: number,
    format: 0,
  ): number;
}

/** Built-ins a module may import from the host. None: policies are pure and see time only through their input. */
const ALLOWED_BUILTINS: ReadonlySet<string> = new Set();

/** The version of OPA's interface that the SDK speaks; from minor version 2 an evaluation is one call. */
const ABI = { major: 1, minor: 2 } as const;

/** What an engine needs of a bundle. */
export type EngineBundle = Pick<Bundle, 'hash' | 'wasm' | 'data' | 'broker'>;

/** Logs an engine that could not be replaced after a fault. */
export interface EngineLog {
  error(fields: object, message: string): void;
}

/**
 * Instantiates a bundle's module with its data.
 *
 * @throws BundleError if the module does not load, imports a built-in the host does not provide, or lacks the entry
 *   point
 */
export async function createEngine(bundle: EngineBundle, log?: EngineLog): Promise<Engine> {
  let policy = await instantiate(bundle);
  let isReplacementDue = false;

  /** After a fault the instance's memory may be corrupt: a new instance replaces it as soon as it is ready. */
  function replaceInstance(): void {
    isReplacementDue = false;
    instantiate(bundle).then(
      (fresh) => {
        policy = fresh;
      },
      (error: unknown) => {
        isReplacementDue = true;
        log?.error(
          { err: error, policy_hash: bundle.hash },
          'could not replace the policy engine after a fault',
        );
      },
    );
  }

  /** @returns the answer, or undefined if there is none. @throws Error if the engine fails */
  function ask(entrypoint: string, inputJson: string): unknown {
    // The last attempt failed, perhaps for lack of memory: each evaluation tries again.
    if (isReplacementDue) replaceInstance();
    let results: unknown;
    try {
      results = policy.evaluate(entrypoint, inputJson);
    } catch (error) {
      replaceInstance();
      throw new Error(`The policy engine failed: ${messageOf(error)}`, { cause: error });
    }
    if (!Array.isArray(results) || results.length !== 1) return undefined;
    return (results[0] as { result?: unknown } | null)?.result ?? null;
  }

  return {
    evaluate: (inputJson, schema = compiledResultSchema) => {
      let result: unknown;
      try {
        result = ask(ENTRYPOINT, inputJson);
      } catch (error) {
        return denial('policy_error', messageOf(error));
      }
      if (result === undefined) {
        return denial('policy_undefined', `The policy has no answer at ${ENTRYPOINT}.`);
      }
      const parsed = schema.safeParse(result);
      if (!parsed.success) {
        return denial(
          'policy_malformed',
          `The policy's answer does not have the shape of a decision: ${parsed.error.issues[0]?.message ?? ''}`,
        );
      }
      return parsed.data;
    },
    access: (inputJson) => {
      if (!Object.hasOwn(policy.entrypoints, ACCESS_ENTRYPOINT)) return null;
      const result = ask(ACCESS_ENTRYPOINT, inputJson);
      if (result === undefined || result === null) {
        throw new Error(`The policy has no answer at ${ACCESS_ENTRYPOINT}.`);
      }
      return result;
    },
  };
}

/** The deny for every fault of an evaluation. */
function denial(code: string, detail: string): PolicyResult {
  return { effect: 'deny', reasons: [{ code, detail: detail.slice(0, 2000) }], obligations: [], limits: {} };
}

/** The SDK throws strings for aborts and plain objects for missing built-ins. */
function messageOf(error: unknown): string {
  if (typeof error === 'string') return error;
  const message = (error as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : 'unknown fault';
}

async function instantiate(bundle: EngineBundle): Promise<Instance> {
  try {
    const policy = await loadPolicy(Uint8Array.from(bundle.wasm).buffer, memoryOf(bundle.wasm));
    assertAbi(policy);
    assertBuiltins(policy);
    if (!Object.hasOwn(policy.entrypoints, ENTRYPOINT)) throw new BundleError(`no entry point ${ENTRYPOINT}`);
    policy.setData(dataOf(bundle));
    return toInstance(policy);
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`policy.wasm does not load: ${messageOf(error)}`, error);
  }
}

/**
 * Evaluations by OPA's interface itself: the SDK copies the input twice, and looks for the end of the answer byte by byte.
 * The input is written where the heap begins, and each evaluation begins with the heap behind its input.
 */
function toInstance({ wasmInstance, mem, dataAddr, dataHeapPtr, entrypoints }: Loaded): Instance {
  const { opa_eval } = (wasmInstance as unknown as { exports: Exports }).exports;
  const memory = mem as Memory;
  const heap = dataHeapPtr as number;
  let bytes = Buffer.from(memory.buffer);

  /** The memory as it is now: growing replaces its buffer. */
  function present(): Buffer {
    if (bytes.buffer !== memory.buffer) bytes = Buffer.from(memory.buffer);
    return bytes;
  }

  function writeInput(inputJson: string): number {
    const { read, written } = encoder.encodeInto(inputJson, present().subarray(heap));
    if (read === inputJson.length) return written;
    const missing = heap + Buffer.byteLength(inputJson) - memory.buffer.byteLength;
    memory.grow(Math.ceil(missing / PAGE_BYTES));
    return encoder.encodeInto(inputJson, present().subarray(heap)).written;
  }

  return {
    entrypoints,
    evaluate: (entrypoint, inputJson) => {
      const inputBytes = writeInput(inputJson);
      const start = opa_eval(
        0,
        entrypoints[entrypoint],
        dataAddr as number,
        heap,
        inputBytes,
        heap + inputBytes,
        0,
      );
      const answer = present();
      return JSON.parse(answer.toString('utf8', start, answer.indexOf(0, start)));
    },
  };
}

/** The bundle's data, with each alias of a person resolved, so that Rego needs one look-up. */
function dataOf({ data, broker }: EngineBundle): object {
  if (broker.persons.size === 0) return data as object;
  const { config, ...others } = data as { config: object };
  return { ...others, config: { ...config, persons: Object.fromEntries(broker.persons) } };
}

function assertAbi({ wasmInstance }: Loaded): void {
  const { opa_wasm_abi_version: major, opa_wasm_abi_minor_version: minor } = (
    wasmInstance as { exports: Record<string, { value?: unknown } | undefined> }
  ).exports;
  if (major?.value === ABI.major && Number(minor?.value) >= ABI.minor) return;
  throw new BundleError(
    `policy.wasm has version ${major?.value}.${minor?.value} of OPA's interface; build it with a newer opa for ${ABI.major}.${ABI.minor} or later`,
  );
}

function assertBuiltins(policy: Loaded): void {
  const missing = listBuiltins(policy).filter((name) => !ALLOWED_BUILTINS.has(name));
  if (missing.length === 0) return;
  throw new BundleError(
    `the policy calls built-ins that the broker does not provide: ${missing.join(', ')}. Build it with the capabilities file.`,
  );
}

/** Reads the module's own list of host functions; the SDK would only fail once a rule calls one. */
function listBuiltins({ wasmInstance, mem }: Loaded): string[] {
  const { builtins, opa_json_dump: dump } = (
    wasmInstance as { exports: Record<string, (value?: number) => number> }
  ).exports;
  if (builtins === undefined || dump === undefined) throw new BundleError('policy.wasm is not an OPA module');
  const bytes = Buffer.from((mem as Memory).buffer);
  const start = dump(builtins());
  return Object.keys(JSON.parse(bytes.toString('utf8', start, bytes.indexOf(0, start))));
}
