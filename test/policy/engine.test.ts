import { loadPolicy } from '@open-policy-agent/opa-wasm';
import { beforeEach, expect, it, vi } from 'vitest';
import { readBundle } from '../../src/policy/bundle.ts';
import { createEngine, type Engine } from '../../src/policy/engine.ts';
import { readFixtureBundle, readTestDataBundle } from '../support/bundles.ts';

vi.mock('@open-policy-agent/opa-wasm', async (original) => {
  const real = await original<typeof import('@open-policy-agent/opa-wasm')>();
  return { ...real, loadPolicy: vi.fn(real.loadPolicy) };
});

const loading = vi.mocked(loadPolicy);
const INPUT = '{}';
/** More than the memory of an instance holds. */
const TOO_LARGE = JSON.stringify({ text: 'x'.repeat(80 * 1024 * 1024) });

let engine: Engine;
let logged: object[];

beforeEach(async () => {
  logged = [];
  const bundle = await readBundle(await readFixtureBundle('echo'));
  engine = await createEngine(bundle, { error: (fields) => logged.push(fields) });
  loading.mockClear();
});

const codesOf = (input: string) => engine.evaluate(input).reasons.map(({ code }) => code);

it('is replaced after a fault, once, and continues to decide', async () => {
  const before = engine.evaluate(INPUT);
  expect(codesOf(TOO_LARGE)).toEqual(['policy_error']);
  expect(loading).toHaveBeenCalledTimes(1);
  await loading.mock.results[0]?.value;
  expect(engine.evaluate(INPUT)).toEqual(before);
  expect(loading).toHaveBeenCalledTimes(1);
  expect(logged).toEqual([]);
});

it('that cannot be replaced is logged with the cause, ends nothing, and is tried again', async () => {
  const before = engine.evaluate(INPUT);
  loading.mockRejectedValueOnce(new RangeError('WebAssembly.Memory(): could not allocate memory'));
  expect(codesOf(TOO_LARGE)).toEqual(['policy_error']);
  await vi.waitFor(() => expect(logged).toHaveLength(1));
  expect(logged).toMatchObject([{ err: { message: expect.stringContaining('could not allocate memory') } }]);
  engine.evaluate(INPUT);
  expect(loading).toHaveBeenCalledTimes(2);
  await loading.mock.results[1]?.value;
  expect(engine.evaluate(INPUT)).toEqual(before);
  expect(loading).toHaveBeenCalledTimes(2);
  expect(logged).toHaveLength(1);
});

it('reads texts of any size and alphabet, and answers in them', async () => {
  const shipped = await createEngine(await readTestDataBundle());
  const ask = (environment: string, reason: string) =>
    shipped.evaluate(
      JSON.stringify({
        operation: 'request.propose',
        environment: { key: environment },
        request: { reason },
      }),
    );
  const named = (environment: string) =>
    expect.arrayContaining([
      {
        code: 'unknown_environment',
        detail: `Unknown environment ${environment} (see config/environments).`,
      },
    ]);
  const small = ask('prod', '');
  expect(small.reasons).toEqual(named('prod'));
  // Each takes more memory than the one before it.
  for (const character of ['x', 'é', '環', '🚩']) {
    const name = `prod-${character}`;
    const large = ask(name, character.repeat(2 * 1024 * 1024));
    expect(large).toEqual({ ...small, reasons: large.reasons });
    expect(large.reasons).toEqual(named(name));
    expect(ask(name, '')).toEqual(large);
  }
  expect(ask('prod', '')).toEqual(small);
});
