import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bodyDigest, bodyFile } from '../../src/snapshot/body.ts';
import { readHead } from '../../src/store/log-head.ts';
import type { TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { applyChanges, createFlag } from '../support/flags.ts';
import { claimsOf, latestOf, newSigner } from '../support/forged-snapshots.ts';
import { canonical } from '../support/log-oracle.ts';
import { logKeyOf, readerToken, startPublishingBroker } from '../support/snapshots.ts';
import { createTerminal, type Run } from './support.ts';

/* Snapshots as plain files: published, served by anybody, and verified with nothing but the key of the log. */

let t: TestBroker;
let key: string;
let place: string;

beforeAll(async () => {
  t = await startPublishingBroker();
  await createFlag(t, 'shown', { tier: 'informational' });
  await t.broker.scheduler.tick();
  key = (await logKeyOf(t)).vkey;
});
afterAll(() => t.close());
beforeEach(async () => {
  place = await mkdtemp(join(t.folder, 'place-'));
});

const folder = () => join(place, 'production');
const latest = () => join(folder(), 'latest.json');

async function publish(...argv: string[]): Promise<Run> {
  const terminal = createTerminal(t, { env: { COUNTERSIGN_TOKEN: await readerToken(t) } });
  return terminal.run('publish', '--to', place, '--environment', 'production', '--json', ...argv);
}
const verify = (...argv: string[]) =>
  createTerminal(t).run('verify-snapshot', '--key', key, '--json', ...argv);

async function toggle(): Promise<void> {
  const { body } = await t.call('dana', 'GET', '/v1/flags/shown');
  const action = body.states.production?.enabled === true ? 'disable' : 'enable';
  await applyChanges(t, [{ action, flag: 'shown' }]);
  await t.broker.scheduler.tick();
}

describe('publish --to', () => {
  it('writes the body and then its pointer, and nothing twice', async () => {
    const first = await publish('--key', key);
    expect([first.code, first.err]).toEqual([0, '']);
    expect(first.json).toMatchObject({ environment: 'production', files: 3, epoch: 1 });
    expect(await readdir(folder())).toEqual([bodyFile(first.json), 'latest.json', 'readers.json'].sort());
    expect((await publish()).json).toEqual({ ...first.json, files: 0 });
    await toggle();
    const next = await publish();
    expect(next.json).toMatchObject({
      files: 2,
      version: first.json.version + 1,
      previous: first.json.digest,
    });
    // Signed again: only the pointer is new.
    t.clock.advance(160_000);
    expect((await publish()).json).toMatchObject({ files: 1, digest: next.json.digest });
    expect(await readdir(folder())).toHaveLength(4);
  });

  it('goes on with --follow, and keeps a reader that looks at any moment up to date', async () => {
    let stop: () => void = () => undefined;
    const terminal = createTerminal(t, {
      env: { COUNTERSIGN_TOKEN: await readerToken(t) },
      sleep: async (_, signal) => setTimeout(20, undefined, { ...(signal && { signal }) }),
      onStopSignal: (listener) => {
        stop = listener;
        return () => undefined;
      },
    });
    const argv = ['--to', place, '--environment', 'production', '--follow', '--json'];
    const running = terminal.run('publish', ...argv);
    await expect.poll(() => readFile(latest()).catch(() => null), { timeout: 20_000 }).not.toBe(null);
    const before = (await verify(latest())).json.version;
    await toggle();
    await expect
      .poll(async () => (await verify(latest())).json.version, { timeout: 20_000 })
      .toBe(before + 1);
    stop();
    expect((await running).json.version).toBe(before + 1);
  });

  it('repairs a body that is half written, and never steps back', async () => {
    const { json } = await publish();
    const body = join(folder(), bodyFile(json));
    await writeFile(body, (await readFile(body)).subarray(0, 100));
    expect((await verify(latest())).json).toMatchObject({ fault: 'body_other' });
    t.clock.advance(160_000);
    expect((await publish()).json.files).toBe(2);
    expect((await verify(latest())).code).toBe(0);

    const former = await readFile(latest());
    await toggle();
    await publish();
    const newer = await readFile(latest());
    // What a broker behind the place would publish: the former pointer.
    const behind = createServer((request, response) => {
      if (request.url?.endsWith('latest.json') === true) response.end(former);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(behind.address() as AddressInfo).port}`;
    const refused = await publish('--key', key, '--broker', url);
    behind.close();
    expect([refused.code, refused.json.fault]).toEqual([6, 'stepped_back']);
    expect(await readFile(latest())).toEqual(newer);
  });

  it('keeps the list of readers up to date, and lets it never step back', async () => {
    await publish();
    const list = join(folder(), 'readers.json');
    const former = await readFile(list);
    const order = {
      kind: 'subject',
      value: 'workload:checkout-service:nobody',
      incident: 'INC-1',
      reason: 'x',
    };
    expect((await t.call('riley', 'POST', '/v1/revocations', order)).status).toBe(201);
    expect((await publish()).json.files).toBeGreaterThan(0);
    const newer = await readFile(list);
    expect(newer).not.toEqual(former);
    const behind = createServer((request, response) =>
      request.url?.endsWith('readers.json') === true ? response.end(former) : response.writeHead(404).end(),
    );
    await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(behind.address() as AddressInfo).port}`;
    const refused = await publish('--key', key, '--broker', url);
    behind.close();
    expect([refused.code, refused.json.fault]).toEqual([6, 'stepped_back']);
    expect(await readFile(list)).toEqual(newer);
  });

  it('writes nothing where another broker has signed the same for longer', async () => {
    await publish();
    const former = await readFile(latest());
    t.clock.advance(160_000);
    expect((await publish()).json.files).toBe(1);
    const present = await readFile(latest());
    expect(present).not.toEqual(former);
    const behind = createServer((request, response) =>
      request.url?.endsWith('latest.json') === true ? response.end(former) : response.writeHead(404).end(),
    );
    await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(behind.address() as AddressInfo).port}`;
    const { code, json } = await publish('--key', key, '--broker', url);
    behind.close();
    expect([code, json.files]).toEqual([0, 0]);
    expect(await readFile(latest())).toEqual(present);
  });

  it('lets no shared cache give an address to others what takes a credential', async () => {
    const sent = new Map<string, string | undefined>();
    const store = createServer((request, response) => {
      if (request.method === 'PUT') sent.set(request.url ?? '', request.headers['cache-control']);
      request.resume().on('end', () => response.writeHead(request.method === 'PUT' ? 201 : 404).end());
    });
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(store.address() as AddressInfo).port}`;
    const { json } = await publish('--key', key, '--to', url);
    store.close();
    expect([...sent]).toEqual([
      ['/production/readers.json', 'max-age=1'],
      [`/production/${bodyFile(json)}`, 'max-age=31536000, immutable'],
      ['/production/latest.json', 'max-age=1'],
    ]);
  });

  it('overwrites nothing that it does not know', async () => {
    for (const [content, fault] of [
      ['<html>', 'not_a_snapshot'],
      [latestOf(newSigner(), claimsOf()), 'unknown_key'],
    ] as const) {
      await publish();
      await writeFile(latest(), content);
      const { code, json } = await publish();
      expect([code, json.fault]).toEqual([6, fault]);
      expect(json.detail).toContain('is there already');
      expect(await readFile(latest())).toEqual(Buffer.from(content));
      await rm(folder(), { recursive: true });
    }
  });

  it('says which options belong together, and which token it takes', async () => {
    const terminal = createTerminal(t);
    for (const argv of [
      [],
      ['--to', place],
      ['--log', place, '--to', place],
      ['--environment', 'production'],
    ])
      expect((await terminal.run('publish', ...argv)).code).toBe(2);
    const person = await terminal.as('dana', 'publish', '--to', place, '--environment', 'production');
    expect([person.code, await readdir(place)]).toEqual([7, []]);
  });
});

describe('verify-snapshot', () => {
  it('verifies a file, a folder and an address with the key alone', async () => {
    const { json: published } = await publish();
    const server = createServer(async (request, response) => {
      const content = await readFile(join(place, request.url ?? '')).catch(() => null);
      response.writeHead(content === null ? 404 : 200).end(content ?? '');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { files: _, ...snapshot } = published;
    for (const argv of [
      [latest()],
      [folder()],
      [place, '--environment', 'production'],
      [url, '--environment', 'production'],
      [`${url}/production/latest.json`],
    ]) {
      const { code, json, err } = await verify(...argv, '--after', `${published.version}`);
      expect([code, err], argv.join(' ')).toEqual([0, '']);
      expect(json).toEqual({ ...snapshot, flags: 1 });
    }
    server.close();
    const text = await createTerminal(t).run('verify-snapshot', latest(), '--key', key);
    expect(text.out).toContain(`Version ${published.version} of production in`);
  });

  it('refuses what is behind, expired, of another environment, or not there', async () => {
    const { json } = await publish();
    const faults = async (...argv: string[]) => {
      const { code, json: problem } = await verify(...argv);
      return [code, problem.code, problem.fault];
    };
    const refused = (fault: string) => [6, 'snapshot_fault', fault];
    expect(await faults(latest(), '--after', `${json.version + 1}`)).toEqual(refused('stepped_back'));
    expect(await faults(latest(), '--at', `${json.expires_ms}`)).toEqual(refused('expired'));
    expect(await faults(latest(), '--environment', 'staging')).toEqual(refused('other_environment'));
    expect(await faults(place, '--environment', 'staging')).toEqual(refused('not_a_snapshot'));
    await rm(join(folder(), bodyFile(json)));
    expect(await faults(latest())).toEqual(refused('body_missing'));
    const large = await newLarge();
    expect(await faults(large)).toEqual(refused('too_large'));
  });

  async function newLarge(): Promise<string> {
    const file = join(place, 'latest.json');
    await writeFile(file, Buffer.alloc(1_000_000, ' '));
    return file;
  }

  it('says how it is used', async () => {
    const terminal = createTerminal(t);
    const other = join(place, 'other.json');
    await writeFile(other, '{}');
    for (const argv of [[place], [other], [latest(), '--after', 'x']])
      expect((await terminal.run('verify-snapshot', ...argv, '--key', key)).code, argv.join(' ')).toBe(2);
  });
});

describe('publish --to --follow', () => {
  it('goes on after faults that pass, and ends at what is forged', async () => {
    let notes = '';
    let sent: string | null = null;
    let revoked: string | null = null;
    const terminal = createTerminal(t, {
      env: {
        COUNTERSIGN_URL: 'https://flags.example',
        COUNTERSIGN_SUBJECT_TOKEN: await t.ci.checkoutToken(),
      },
      sleep: async (_, signal) => setTimeout(20, undefined, { ...(signal && { signal }) }),
      stderr: (text) => {
        notes += text;
      },
      fetch: async (input, init) => {
        const url = String(input).replace('https://flags.example', t.url);
        if (!url.includes('/snapshots/')) return fetch(url, init);
        sent = new Headers(init?.headers).get('authorization');
        return sent === revoked ? Response.json({}, { status: 401 }) : fetch(url, init);
      },
    });
    const soon = { timeout: 20_000, interval: 50 };
    const verified = async (by: string) => {
      const { code, json } = await createTerminal(t).run('verify-snapshot', latest(), '--key', by, '--json');
      return code === 0 ? (json.version as number) : null;
    };
    const running = terminal.run(
      'publish',
      '--to',
      place,
      '--environment',
      'production',
      '--follow',
      '--json',
    );
    await expect.poll(() => verified(key), soon).not.toBe(null);
    const before = await verified(key);

    await writeFile(latest(), '<html>');
    await expect.poll(() => notes, soon).toContain('retrying: ');
    expect(notes).toContain('is there already');
    await rm(latest());
    await expect.poll(() => verified(key), soon).toBe(before);

    revoked = sent;
    await expect.poll(() => notes, soon).toContain('status 401');
    await toggle();
    await expect.poll(() => verified(key), soon).toBe((before ?? 0) + 1);

    await t.call('morgan', 'POST', '/v1/log/keys/rotate', { overlap_days: 0 });
    t.clock.advance(1001);
    const next = (await logKeyOf(t)).vkey;
    expect(next).not.toBe(key);
    await expect.poll(() => verified(next), soon).toBe((before ?? 0) + 1);

    key = next;

    const { pointers, proof } = JSON.parse(String(await readFile(latest())));
    const [head, claims, signature] = pointers[0].split('.');
    const forged = { pointers: [[head, claims, `${signature.slice(4)}AAAA`].join('.')], proof };
    await writeFile(latest(), JSON.stringify(forged));
    const { code, out } = await running;
    expect([code, JSON.parse(out).fault]).toEqual([6, 'signature_invalid']);
  }, 60_000);
});

describe('verify --snapshots', () => {
  const compare = async () => {
    // The next checkpoint.
    t.clock.advance(1001);
    const { code, json, err } = await createTerminal(t).as(
      'avery',
      'verify',
      '--key',
      key,
      '--snapshots',
      place,
      '--json',
    );
    return { code, json, err };
  };

  it('finds each body that is published to be what the log says at the size that it reflects', async () => {
    await publish();
    await createFlag(t, `new.${t.clock()}`, { tier: 'informational' });
    const gone = await createFlag(t, `gone.${t.clock()}`, { tier: 'informational' });
    await t.broker.scheduler.tick();
    await publish();
    await toggle();
    await publish();
    await applyChanges(t, [{ action: 'retire', flag: gone }]);
    await t.broker.scheduler.tick();
    await publish();
    // What moves after the last one makes no difference.
    await applyChanges(t, [{ action: 'update', flag: 'shown', set: { purpose: 'Another one.' } }]);
    const { code, json } = await compare();
    expect([code, json.snapshots_compared, json.gaps]).toEqual([0, 4, []]);
    expect(json.snapshots).toBeGreaterThan(4);
    await t.broker.scheduler.tick();
  });

  it('finds a body that was changed, or that no record publishes', async () => {
    const { json: published } = await publish();
    const file = join(folder(), bodyFile(published));
    const body = await readFile(file);
    await writeFile(file, String(body).replace('"shown"', '"shoWn"'));
    expect(await compare()).toMatchObject({ code: 6, json: { fault: 'snapshot_differs' } });
    await writeFile(file, body);
    const other = join(folder(), bodyFile({ version: published.version, digest: bodyDigest('{}') }));
    await writeFile(other, '{}');
    expect(await compare()).toMatchObject({ code: 6, json: { fault: 'snapshot_differs' } });
    await rm(other);
    const newer = join(folder(), bodyFile({ version: published.version + 1000, digest: bodyDigest('{}') }));
    await writeFile(newer, '{}');
    expect(await compare()).toMatchObject({ code: 5, json: { gaps: [{ code: 'snapshot_ahead' }] } });
    await rm(newer);
    expect((await compare()).code).toBe(0);
    const missing = await createTerminal(t).as(
      'avery',
      'verify',
      '--key',
      key,
      '--snapshots',
      join(place, 'no'),
    );
    expect(missing.code).toBe(2);
  });

  it('finds what a broker publishes that does not serve what was decided', async () => {
    let { version } = (await publish()).json;
    const text = String(await readFile(join(folder(), bodyFile((await publish()).json))));
    const forge = async (edit: (body: { version: number; flags: Forged[] }) => void) => {
      version += 1000;
      const body = JSON.parse(text);
      body.version = version;
      edit(body);
      const bytes = canonical(body);
      const digest = bodyDigest(bytes);
      const { size } = await readHead(t.broker.store.read);
      const snapshot = { digest, environment: 'production', size, version };
      await appendTo(t.broker.store, { operation: 'snapshot.publish', snapshot });
      const file = join(folder(), bodyFile({ version, digest }));
      await writeFile(file, bytes);
      const { code, json } = await compare();
      await rm(file);
      return [code, json.fault ?? json.gaps[0]?.code];
    };
    const shown = (flags: Forged[]) => flags.find(({ definition }) => definition.key === 'shown') as Forged;
    const differs = [6, 'snapshot_differs'];
    expect(await forge(() => undefined)).toEqual([0, undefined]);
    expect(
      await forge(({ flags }) => Object.assign(shown(flags).state, { enabled: !shown(flags).state.enabled })),
    ).toEqual(differs);
    expect(await forge(({ flags }) => Object.assign(shown(flags), { version: 1 }))).toEqual(differs);
    expect(await forge(({ flags }) => Object.assign(shown(flags).definition, { owner: 'nobody' }))).toEqual(
      differs,
    );
    expect(await forge(({ flags }) => Object.assign(shown(flags).definition, { key: 'zz.unknown' }))).toEqual(
      differs,
    );
    expect(await forge(({ flags }) => flags.reverse())).toEqual(differs);
    expect(await forge(({ flags }) => flags.push(shown(flags)))).toEqual(differs);
    // A flag that is not there is only known to be missing: an earlier broker did not record that one was retired.
    expect(await forge(({ flags }) => flags.splice(flags.indexOf(shown(flags)), 1))).toEqual([
      5,
      'flag_absent',
    ]);
  });
});

interface Forged {
  definition: { key: string };
  state: { enabled: boolean };
  version: number;
}
