import { beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, readBundle } from '../../src/policy/bundle.ts';
import { createEngine } from '../../src/policy/engine.ts';
import { memoryOf } from '../../src/policy/module.ts';
import { probeBundle } from '../../src/policy/probe.ts';
import { readFixtureBundle } from '../support/bundles.ts';
import { INPUTS } from '../support/inputs.ts';

const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

const leb = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
const text = (name: string) => [name.length, ...Buffer.from(name)];
const section = (id: number, ...bytes: number[]) => [id, ...leb(bytes.length), ...bytes];
/** An import section with the memory, and others. */
const imports = (minimum: number, ...others: number[][]) =>
  section(2, 1 + others.length, ...text('env'), ...text('memory'), 2, 0, ...leb(minimum), ...others.flat());
const module = (...sections: number[][]) => Uint8Array.from([...HEADER, ...sections.flat()]);

const NO_ARGUMENTS = section(1, 1, 0x60, 0, 0);
/** Runs as soon as it is instantiated, and never ends. */
const ENDLESS = module(
  NO_ARGUMENTS,
  imports(2),
  section(3, 1, 0),
  section(8, 0),
  section(10, 1, 7, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b),
);

let good: Bundle;

beforeAll(async () => {
  good = await readBundle(await readFixtureBundle('anybody'));
});

describe('a module', () => {
  const cases: Record<string, [module: Uint8Array, says: RegExp]> = {
    'that imports another function of the host': [
      module(NO_ARGUMENTS, imports(2, [...text('env'), ...text('exec'), 0, 0])),
      /imports "env\.exec"/,
    ],
    'that imports from another module': [
      module(NO_ARGUMENTS, imports(2, [...text('wasi'), ...text('opa_abort'), 0, 0])),
      /imports "wasi\.opa_abort"/,
    ],
    'that imports two memories': [
      module(imports(2, [...text('env'), ...text('memory'), 2, 0, 2])),
      /imports "env\.memory"/,
    ],
    'that imports a global': [
      module(imports(2, [...text('env'), ...text('memory'), 3, 0x7f, 0])),
      /imports "env\.memory"/,
    ],
    'with a memory of its own': [module(imports(2), section(5, 1, 0, 2)), /memory of its own/],
    'with a shared memory': [
      module(section(2, 1, ...text('env'), ...text('memory'), 2, 3, 2, 4)),
      /shared or a 64-bit memory/,
    ],
    'that needs more memory than there is': [
      module(imports(1025)),
      /needs 65600 KiB of memory; at most 65536/,
    ],
    'with a table for millions of functions': [
      module(imports(2), section(4, 1, 0x70, 0, ...leb(10_000_000))),
      /table of 10000000 entries/,
    ],
    'with a table that may grow without a need': [
      module(imports(2), section(4, 1, 0x70, 1, 1, ...leb(10_000_000))),
      /table of 10000000 entries/,
    ],
    'with types of the garbage collector': [module(section(1, 1, 0x5e, 0x7f, 1), imports(2)), /types/],
    'with a section that OPA does not write': [module(imports(2), section(13, 0)), /section of kind 13/],
    'with a section that is longer than the module': [module(imports(2), [4, 200]), /does not load/],
    'that counts more than it has': [module(section(1, 0xff, 0xff, 0xff, 0xff, 0x0f)), /does not load/],
    'without a memory': [module(NO_ARGUMENTS), /not an OPA module/],
  };

  it.each(Object.keys(cases))('%s is refused before anything of it runs', async (name) => {
    const [wasm, says] = cases[name] ?? [ENDLESS, /never/];
    expect(() => memoryOf(wasm)).toThrow(says);
    await expect(createEngine({ ...good, wasm: Buffer.from(wasm) })).rejects.toThrow(says);
  });

  it('gets the memory that it begins with', () => {
    expect(memoryOf(good.wasm)).toEqual({ initial: 5, maximum: 1024 });
    expect(memoryOf(module(imports(900)))).toEqual({ initial: 900, maximum: 1024 });
  });

  it('of another version of the interface is refused', async () => {
    // The two globals with the version, as the compiler writes them: 1 and 3.
    const at = good.wasm.indexOf(Buffer.from([0x7f, 0, 0x41, 1, 0x0b, 0x7f, 0, 0x41, 3, 0x0b]));
    const older = Buffer.from(good.wasm);
    older[at + 8] = 1;
    await expect(createEngine({ ...good, wasm: older })).rejects.toThrow(/version 1\.1 of OPA's interface/);
    const other = Buffer.from(good.wasm);
    other[at + 3] = 2;
    await expect(createEngine({ ...good, wasm: other })).rejects.toThrow(/unsupported ABI version 2/);
  });
});

describe('a bundle that is tried in a thread of its own', () => {
  it('passes if it answers every operation', async () => {
    await expect(probeBundle(good, INPUTS)).resolves.toBeUndefined();
  });

  it('with a module that never ends is ended, and stops nothing', async () => {
    const endless = { ...good, wasm: Buffer.from(ENDLESS) };
    await expect(probeBundle(endless, INPUTS, { deadlineMs: 2000 })).rejects.toThrow(
      /did not answer within 2 seconds/,
    );
  });

  it('that needs more memory than it gets is refused', async () => {
    const bomb = await readBundle(await readFixtureBundle('bomb'));
    await expect(probeBundle(bomb, INPUTS)).rejects.toThrow(/asked for [a-z.]+: .*malloc|memory/i);
  });

  it('whose decision is a text is refused', async () => {
    const said = await readBundle(await readFixtureBundle('text'));
    await expect(probeBundle(said, INPUTS)).rejects.toThrow(/does not have the shape of a decision/);
  });

  it('that calls a clock of its own is refused', async () => {
    const clock = await readBundle(await readFixtureBundle('clock'));
    await expect(probeBundle(clock, INPUTS)).rejects.toThrow(/time\.now_ns/);
  });
});
