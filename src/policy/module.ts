import { BundleError } from './bundle-error.ts';

/*
 * What a module may need of the process, read from its bytes before anything runs. A module can only reach what it imports
 * and only grow what it declares, so these limits hold whatever its code does.
 */

/** 64 MiB: hostile input reaches this limit and not the machine's memory. Ample for the largest input of one change. */
export const MAX_PAGES = 1024;

/** The memory of a small policy; a module with more data asks for more. */
const MIN_PAGES = 5;

/** Functions that can be called indirectly; a large policy has some thousands. */
const MAX_TABLE = 65_536;

/** What the host provides (OPA documentation, "WebAssembly", "Imports"). */
const IMPORTED_FUNCTIONS: ReadonlySet<string> = new Set([
  'opa_abort',
  'opa_println',
  ...[0, 1, 2, 3, 4].map((count) => `opa_builtin${count}`),
]);

/** Sections of a module by id (WebAssembly 2.0, section 5.5.2). */
const SECTION = { type: 1, import: 2, table: 4, memory: 5, last: 12 } as const;

/** Kinds of imports (WebAssembly 2.0, section 5.5.5). */
const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;

/** The one form of types that allocates nothing: functions. Others are of the garbage collector's proposal. */
const FUNCTION_TYPE = 0x60;

/**
 * The memory to give to a module, in pages of 64 KiB.
 *
 * @throws BundleError if it imports anything but the host functions of OPA and one memory, or could take more memory than
 *   it may
 */
export function memoryOf(wasm: Uint8Array): { initial: number; maximum: number } {
  try {
    return { initial: Math.max(MIN_PAGES, readLimits(wasm)), maximum: MAX_PAGES };
  } catch (error) {
    if (error instanceof BundleError) throw error;
    throw new BundleError(`policy.wasm does not load: ${(error as Error).message}`, error);
  }
}

/** @returns the pages of the imported memory at its start */
function readLimits(wasm: Uint8Array): number {
  const reader = createReader(wasm);
  if (reader.u32le() !== 0x6d736100 || reader.u32le() !== 1)
    throw new Error('it is not a WebAssembly module');
  let pages: number | null = null;
  while (!reader.isAtEnd()) {
    const id = reader.byte();
    const size = reader.leb();
    const end = reader.at() + size;
    if (id > SECTION.last) refuse(`has a section of kind ${id}, which OPA's compiler does not write`);
    if (id === SECTION.type) readTypes(reader, end);
    if (id === SECTION.import) pages = readImports(reader) ?? pages;
    if (id === SECTION.table) repeat(reader.leb(), () => assertTable(readTable(reader)));
    if (id === SECTION.memory && reader.leb() > 0)
      refuse('has a memory of its own: it must import env.memory');
    reader.moveTo(end);
  }
  if (pages === null)
    throw new BundleError('policy.wasm is not an OPA module: it does not import env.memory');
  if (pages > MAX_PAGES) refuse(`needs ${pages * 64} KiB of memory; at most ${MAX_PAGES * 64} KiB are given`);
  return pages;
}

function readTypes(reader: Reader, end: number): void {
  repeat(reader.leb(), () => {
    if (reader.byte() !== FUNCTION_TYPE) refuse('has types that are not functions');
    // Parameters and results: one byte each.
    repeat(2, () => reader.moveTo(reader.leb() + reader.at()));
  });
  if (reader.at() !== end) refuse('has types that OPA does not use');
}

/** @returns the minimum of the imported memory, or null if there is none */
function readImports(reader: Reader): number | null {
  let pages: number | null = null;
  repeat(reader.leb(), () => {
    const name = `${reader.name()}.${reader.name()}`;
    const kind = reader.byte();
    if (kind === KIND.memory && name === 'env.memory' && pages === null) {
      pages = reader.limits().minimum;
    } else if (kind === KIND.function && IMPORTED_FUNCTIONS.has(name.replace(/^env\./, ''))) {
      reader.leb();
    } else {
      refuse(`imports ${JSON.stringify(name)}, which the broker does not provide`);
    }
  });
  return pages;
}

interface Limits {
  minimum: number;
  maximum: number | null;
}

function readTable(reader: Reader): Limits {
  const element = reader.byte();
  // funcref and externref; a table with an initial value begins with 0x40.
  if (element !== 0x70 && element !== 0x6f) refuse('has a table that OPA does not use');
  return reader.limits();
}

function assertTable({ minimum, maximum }: Limits): void {
  if (Math.max(minimum, maximum ?? minimum) <= MAX_TABLE) return;
  refuse(`has a table of ${maximum ?? minimum} entries; at most ${MAX_TABLE} are accepted`);
}

function refuse(what: string): never {
  throw new BundleError(`policy.wasm ${what}. Build it with opa build -t wasm.`);
}

function repeat(times: number, step: () => void): void {
  for (let turn = 0; turn < times; turn += 1) step();
}

type Reader = ReturnType<typeof createReader>;

/** Reads the binary format. Reading beyond the end throws, so a loop over a false count ends. */
function createReader(wasm: Uint8Array) {
  const view = Buffer.from(wasm.buffer, wasm.byteOffset, wasm.byteLength);
  let at = 0;
  const byte = () => view.readUInt8(at++);
  /** An unsigned LEB128 number of at most 32 bits (section 5.2.2). */
  const leb = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const next = byte();
      value += (next & 0x7f) * 2 ** shift;
      if (next < 0x80) return value;
    }
    throw new Error('a number is too long');
  };
  const moveTo = (place: number) => {
    if (place < at || place > view.length) throw new Error('a section ends beyond the module');
    at = place;
  };
  return {
    at: () => at,
    isAtEnd: () => at >= view.length,
    byte,
    leb,
    moveTo,
    u32le: () => {
      at += 4;
      return view.readUInt32LE(at - 4);
    },
    name: () => {
      const length = leb();
      moveTo(at + length);
      return view.toString('utf8', at - length, at);
    },
    limits: (): Limits => {
      const flags = byte();
      // Bit 1 is for shared memories, bit 2 for 64-bit addresses.
      if (flags > 1) throw new BundleError('policy.wasm has a shared or a 64-bit memory or table');
      const minimum = leb();
      return { minimum, maximum: flags === 1 ? leb() : null };
    },
  };
}
