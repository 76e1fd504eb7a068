import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { erasePerson, withoutRetention } from '../support/erasures.ts';
import { applyChanges, createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

/* Each decision is made again with nothing but files. */

let t: TestBroker;
let terminal: Terminal;
let key: string;
let log: string;
let evidence: string;
let lines: string[];

beforeAll(async () => {
  t = await startTestBroker({
    config: { public_url: 'https://flags.example' },
    editData: withoutRetention,
  });
  terminal = createTerminal(t);
  await createFlag(t, 'checkout');
  await applyChanges(t, [{ action: 'enable', flag: 'checkout' }]);
  await propose(t, [{ action: 'disable', flag: 'checkout' }], { apply: 'manual' });
  key = join(t.folder, 'log.key');
  await writeFile(key, (await terminal.as('avery', 'audit', 'key')).out);
  log = await mkdtemp(join(t.folder, 'log-'));
  evidence = join(t.folder, 'evidence');
  await take();
});
afterAll(() => t.close());

async function take(): Promise<void> {
  expect((await terminal.as('avery', 'audit', 'inputs', '--out', evidence)).code).toBe(0);
  t.clock.advance(1000);
  expect((await terminal.as('avery', 'publish', '--log', log)).code).toBe(0);
  lines = (await readFile(inputs(), 'utf8')).trimEnd().split('\n');
}
const inputs = () => join(evidence, 'inputs.jsonl');
const verify = () => terminal.run('verify', log, '--key', key, '--inputs', inputs(), '--json');

/** Verifies with a changed line; the place counts from 1. */
async function withLine(place: number, change: (line: { [member: string]: string }) => unknown) {
  const changed = JSON.stringify(change(JSON.parse(lines[place - 1] ?? '')));
  await writeFile(inputs(), `${lines.with(place - 1, changed).join('\n')}\n`);
  const { code, json } = await verify();
  await writeFile(inputs(), `${lines.join('\n')}\n`);
  return { code, fault: json.fault, place: json.place, gaps: json.gaps };
}

describe('inputs', () => {
  it('are written with the bundle of each policy, for the eyes of the auditor only', async () => {
    const names = await readdir(evidence);
    expect(names.toSorted()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.tar\.gz$/), 'inputs.jsonl']);
    expect((await terminal.as('dana', 'audit', 'inputs', '--out', join(t.folder, 'none'))).code).toBe(4);
  });

  it('replay every decision', async () => {
    const { code, json } = await verify();
    expect(code).toBe(0);
    expect(json.gaps).toEqual([{ code: 'no_policy', count: 1, first_place: 1 }]);
    expect(json.replayed).toBe(json.size - 1);
  });

  it.each([
    ['another input', 'input_other', (line: { input?: string }) => ({ ...line, input: `${line.input} ` })],
    [
      'another result',
      'result_other',
      (line: { result?: string }) => ({ ...line, result: '{"effect":"deny"}' }),
    ],
    ['another salt', 'input_other', (line: object) => ({ ...line, salt: 'B'.repeat(43) })],
    ['no member', 'input_other', () => ({ place: 2 })],
    ['an earlier place', 'input_other', (line: object) => ({ ...line, place: 1 })],
    ['an erasure that nobody recorded', 'input_other', () => ({ place: 2, erased_by: 3 })],
  ])('with %s are refused', async (_, fault, change) => {
    expect(await withLine(2, change as never)).toMatchObject({ code: 6, fault });
  });

  it('that are missing are a gap', async () => {
    await writeFile(inputs(), `${lines.toSpliced(1, 1).join('\n')}\n`);
    const { code, json } = await verify();
    expect(code).toBe(5);
    expect(json.gaps).toContainEqual({ code: 'input_missing', count: 1, first_place: 2 });
    await writeFile(inputs(), `${lines.join('\n')}\n`);
  });

  it('without the bundle are a gap, and with another one in its place, too', async () => {
    const [bundle = ''] = (await readdir(evidence)).filter((name) => name.endsWith('.gz'));
    const file = join(evidence, bundle);
    const archive = await readFile(file);
    await rm(file);
    expect((await verify()).json.gaps).toContainEqual(expect.objectContaining({ code: 'bundle_missing' }));
    await writeFile(file, 'none');
    expect((await verify()).json.gaps).toContainEqual(expect.objectContaining({ code: 'bundle_unusable' }));
    await writeFile(file, archive);
  });

  it('that were erased by a record that says so are none that is missing', async () => {
    const { body: open } = await t.call('dana', 'GET', '/v1/requests?state=ready');
    for (const { id } of open.items) await t.call('dana', 'POST', `/v1/requests/${id}/withdraw`, {});
    expect(await erasePerson(t, 'emp-1001')).toMatchObject({ state: 'applied' });
    await take();
    expect(JSON.parse(lines[1] ?? '')).toEqual({ place: 2, erased_by: expect.any(Number) });
    const { code, json } = await verify();
    expect(code).toBe(0);
    expect(json.gaps).toContainEqual({ code: 'erased', count: expect.any(Number), first_place: 2 });
  });
});
