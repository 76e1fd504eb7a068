import { cp, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, createFlag, propose } from '../support/flags.ts';
import { forgePurpose } from '../support/sqlite/rows.ts';
import { createTerminal, type Terminal } from './support.ts';

/* What `verify` says of a log that a broker wrote, beside its tree: test/cli/audit.test.ts has that. */

let t: TestBroker;
let terminal: Terminal;
let key: string;
let log: string;

beforeAll(async () => {
  t = await startTestBroker({
    config: { public_url: 'https://flags.example' },
    editData: (data) => {
      const { config } = data as { config: object };
      return { config: { ...config, recorded_reads: { namespaces: ['payments'] } } };
    },
  });
  terminal = createTerminal(t);
  await createFlag(t, 'checkout');
  await applyChanges(t, [{ action: 'enable', flag: 'checkout' }]);
  await t.call('riley+mfa', 'POST', '/v1/freezes', {
    scope: 'flag',
    flag: 'checkout',
    incident: 'INC-1',
    reason: 'broken',
  });
  await propose(t, [{ action: 'disable', flag: 'checkout' }]);
  t.clock.advance(1000);
  key = join(t.folder, 'log.key');
  await writeFile(key, (await terminal.as('avery', 'audit', 'key')).out);
  log = await mkdtemp(join(t.folder, 'log-'));
  await terminal.as('avery', 'publish', '--log', log);
});
afterAll(() => t.close());

const verify = (...more: string[]) => terminal.run('verify', log, '--key', key, ...more);

describe('the meaning of a log', () => {
  it('is verified without the broker, and what passed a freeze is listed', async () => {
    const { code, json } = await verify('--json');
    expect(code).toBe(0);
    expect(json).toMatchObject({
      operator_acts: { count: 1, items: [{ place: 1, code: 'first_start' }] },
      exceptions: { count: 1, items: [{ kind: 'safer_change', flags: ['checkout'] }] },
      open_freezes: 1,
      gaps: [],
      replayed: null,
      flags_compared: null,
    });
    expect(json.flag_versions).toBeGreaterThan(2);
    const { out } = await verify();
    expect(out).toContain('past a freeze: 1');
    expect(out).toContain('without a decision, by an operator: 1');
  });

  it('shows a bar on a terminal, and removes it', async () => {
    const { err } = await createTerminal(t, { columns: 100 }).run('verify', log, '--key', key);
    expect(err).toMatch(/\r\[[#-]+\] \d+ of \d+ records/);
    expect(err.endsWith('\r\u001b[K')).toBe(true);
  });
});

describe('the flags that are served', () => {
  const flags = () => join(t.folder, 'flags.jsonl');
  const shown = async () => (await terminal.as('dana', 'flags', 'checkout', '--json')).json;

  it('are those of the log, from a file and from the broker', async () => {
    await writeFile(flags(), `${JSON.stringify(await shown())}\n`);
    const { code, json } = await verify('--flags', flags(), '--json');
    expect(code).toBe(0);
    expect(json.flags_compared).toBe(4);
    const asked = await terminal.as('avery', 'verify', log, '--key', key, '--flags', t.url, '--json');
    expect([asked.code, asked.json.flags_compared]).toEqual([0, 4]);
  });

  it.each([
    ['another content', (flag: { purpose: string }) => ({ ...flag, purpose: 'another' }), 'another content'],
    ['another version', (flag: object) => ({ ...flag, definition_version: 7 }), 'at version 7'],
    ['a state less', (flag: object) => ({ ...flag, states: {} }), 'is not served'],
    ['another flag', (flag: object) => ({ ...flag, key: 'other' }), 'the log does not have it'],
    ['no flag', () => ({}), 'not in the form'],
  ])('with %s are found', async (_, change, message) => {
    await writeFile(flags(), JSON.stringify(change(await shown())));
    const { code, json } = await verify('--flags', flags(), '--json');
    expect([code, json.fault]).toEqual([6, 'flags_differ']);
    expect(json.detail).toContain(message);
  });
});

describe('the flags of a broker that records who reads them', () => {
  it('are found to be written past the log, although each comparison adds a record', async () => {
    const patient = createTerminal(t, { sleep: async () => t.clock.advance(1100) });
    const compare = () => patient.as('avery', 'verify', '--key', key, '--flags', t.url, '--json');
    const before = await compare();
    expect([before.code, before.json.flags_compared]).toEqual([0, 4]);
    forgePurpose(t.file, 'checkout', 'forged');
    const after = await compare();
    forgePurpose(t.file, 'checkout', 'A flag of the tests.');
    expect([after.code, after.json.fault]).toEqual([6, 'flags_differ']);
    t.clock.advance(1100);
    const { size } = (await compare()).json;
    expect(size).toBeGreaterThan(before.json.size);
  });
});

describe('--follow', () => {
  /** Follows the log; before each look, the next step is taken. It is stopped after the last. */
  async function follow(folder: string, ...steps: (() => Promise<unknown>)[]) {
    let stop: () => void = () => undefined;
    const following = createTerminal(t, {
      onStopSignal: (listener) => {
        stop = listener;
        return () => undefined;
      },
      sleep: async () => {
        const step = steps.shift();
        if (step === undefined) stop();
        else await step();
      },
    });
    return following.run('verify', folder, '--key', key, '--follow');
  }

  async function copied(): Promise<string> {
    const folder = await mkdtemp(join(t.folder, 'copy-'));
    await cp(log, folder, { recursive: true });
    return folder;
  }

  it('verifies what is new until it is stopped', async () => {
    const folder = await copied();
    const { code, err } = await follow(folder, async () => {
      await createFlag(t, 'later');
      t.clock.advance(1000);
      await terminal.as('avery', 'publish', '--log', folder);
    });
    expect(code).toBe(0);
    expect(err.match(/Verified \d+ records/g)).toHaveLength(2);
  });

  it('ends loudly when the log steps back, or is changed', async () => {
    const folder = await copied();
    const older = await readFile(join(folder, 'checkpoint'));
    await createFlag(t, 'newest');
    t.clock.advance(1000);
    await terminal.as('avery', 'publish', '--log', folder);
    const back = await follow(folder, () => writeFile(join(folder, 'checkpoint'), older));
    expect(back.code).toBe(6);
    expect(back.err).toContain('stepped back');
  });

  it('ends loudly when the address is silent for too long, and not before', async () => {
    const told = join(t.folder, 'silent.json');
    const program = join(t.folder, 'silent.sh');
    await writeFile(program, `#!/bin/sh\ncat > '${told}'\n`, { mode: 0o755 });
    let looks = 0;
    // It answers once, and again before the time is over.
    const answers = (look: number) => look === 0 || look === 3;
    const following = createTerminal(t, {
      fetch: async (url) => {
        if (!answers(looks)) throw new TypeError('fetch failed');
        const path = new URL(String(url)).pathname;
        return new Response(await readFile(join(log, path)).catch(() => null), { status: 200 });
      },
      sleep: async () => {
        looks += 1;
        t.clock.advance(20_000);
      },
    });
    const argv = [
      'verify',
      'https://log.example',
      '--key',
      key,
      '--follow',
      '--silent-after',
      '1m',
      '--json',
    ];
    const { code, json } = await following.run(...argv, '--on-fault', program);
    expect([code, json.code, looks]).toEqual([1, 'log_silent', 6]);
    expect(JSON.parse(await readFile(told, 'utf8'))).toMatchObject({ code: 'log_silent' });
  });

  it('tells a program of the fault, without a shell', async () => {
    const folder = await copied();
    const told = join(t.folder, 'told.json');
    const program = join(t.folder, 'page $(touch hacked); me');
    await writeFile(program, `#!/bin/sh\ncat > '${told}'\nexit 3\n`, { mode: 0o755 });
    const argv = ['verify', folder, '--key', key, '--on-fault', program];
    expect((await terminal.run(...argv)).code).toBe(0);
    await expect(readFile(told)).rejects.toThrow('ENOENT');
    const bundle = join(folder, (await verify('--json')).json.size > 256 ? 'tile/entries/000' : 'checkpoint');
    await writeFile(bundle, (await readFile(bundle)).subarray(0, -1));
    const { code, err } = await terminal.run(...argv);
    expect(code).toBe(6);
    expect(err).toContain('page $(touch hacked); me failed');
    expect(JSON.parse(await readFile(told, 'utf8'))).toMatchObject({ code: 'log_fault' });
    const missing = await terminal.run('verify', folder, '--key', key, '--on-fault', join(t.folder, 'none'));
    expect([missing.code, missing.err]).toEqual([2, expect.stringContaining('cannot be run')]);
  });

  it('ends loudly at a new record that is not what was signed', async () => {
    const folder = await copied();
    const { code, err } = await follow(folder, async () => {
      await createFlag(t, 'forged');
      t.clock.advance(1000);
      const { json } = await terminal.as('avery', 'publish', '--log', folder, '--json');
      const bundle = join(folder, `tile/entries/000.p/${json.size}`);
      const bytes = await readFile(bundle);
      const at = bytes.indexOf('"flag":"forged"');
      await writeFile(bundle, bytes.fill('F', at + 8, at + 9));
    });
    expect(code).toBe(6);
    expect(err).toMatch(/The record at place \d+ was changed/);
  });
});
