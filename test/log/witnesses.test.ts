import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type CosignerKey,
  cosignerKey,
  openCosignatures,
  parseCosigner,
} from '../../src/tree/cosignature.ts';
import { parseVerifier, textOfNote } from '../../src/tree/note.ts';
import { serveWitness } from '../../src/witness/serve-witness.ts';
import { openWitness, type Witness } from '../../src/witness/witness.ts';
import { createTerminal } from '../cli/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { applyChanges, approve, creation, propose, readRequest, TICKET } from '../support/flags.ts';
import { record } from '../support/pass-time.ts';
import { withFile } from '../support/sqlite/file.ts';

/* A broker and its witnesses: real ones, and some that lie. */

let folder: string;
let t: TestBroker;
let servers: Server[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-witnesses-'));
  servers = [];
});
afterEach(async () => {
  await t.close();
  for (const server of servers) server.close();
  await rm(folder, { recursive: true, force: true });
});

async function listen(server: Server): Promise<string> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Running {
  vkey: string;
  url: string;
  isDown: boolean;
  witness: Witness | null;
}

/** A witness that learns of the log once there is one. */
async function startWitness(name: string): Promise<Running> {
  const options = { folder: join(folder, name), name: `witness.example/${name}`, clock: () => t.clock() };
  const first = await openWitness({ ...options, logs: [] });
  const { vkey } = first;
  first.close();
  const running: Running = { vkey, url: '', isDown: false, witness: null };
  const open = async () => {
    const { body } = await t.call(null, 'GET', '/v1/log');
    running.witness ??= await openWitness({ ...options, logs: [parseVerifier(body.key)] });
    if (running.isDown) throw new Error('down');
    return running.witness;
  };
  const server = serveWitness(
    {
      vkey,
      add: async (body) => (await open()).add(body),
      latest: async (hash) => (await open()).latest(hash),
      logs: () => [],
      close: () => undefined,
    },
    () => undefined,
  );
  running.url = await listen(server);
  return running;
}

async function submit(): Promise<void> {
  t.clock.advance(10_000);
  await t.broker.scheduler.tick();
}

const cosigned = async () => (await t.call(null, 'GET', '/v1/log')).body.cosigned;

describe('witnesses', () => {
  it('cosign what was signed, and their cosignatures are served with it', async () => {
    const witnesses = [await startWitness('w1'), await startWitness('w2')];
    t = await startTestBroker({
      config: { witnesses: witnesses.map(({ url, vkey: key }) => ({ url, key })) },
    });
    expect(await cosigned()).toMatchObject({ quorum: 2, size: null, at_ms: null, checkpoint: null });
    await submit();
    const first = await cosigned();
    expect(first).toMatchObject({ at_ms: t.clock() });
    const known = witnesses.map(({ vkey }) => parseCosigner(vkey));
    const note = await (await fetch(`${t.url}/log/checkpoint`)).text();
    expect(note).toBe(first.checkpoint);
    const below = note.slice(note.lastIndexOf('\n\n') + 2);
    expect(openCosignatures(textOfNote(note), below, known)).toHaveLength(2);

    // It grows, and the proof that it does is sent.
    await record(t);
    await submit();
    expect((await cosigned()).size).toBe(first.size + 1);

    // An idle log is cosigned again, so that its cosignature stays young.
    const { at_ms } = await cosigned();
    for (let turn = 0; turn < 29; turn += 1) await submit();
    expect((await cosigned()).at_ms).toBe(at_ms);
    await submit();
    expect((await cosigned()).at_ms).toBe(t.clock());

    // One that is down costs nothing but the age.
    const [down] = witnesses;
    if (down !== undefined) down.isDown = true;
    const before = await cosigned();
    expect(await record(t)).toBe(200);
    await submit();
    const after = await cosigned();
    expect(after).toMatchObject({ size: before.size, at_ms: before.at_ms, checkpoint: before.checkpoint });
    expect(after.witnesses).toMatchObject([
      { name: 'witness.example/w1', size: before.size, fault: 'refused', fault_status: 500 },
      { name: 'witness.example/w2', size: before.size + 1, fault: null, fault_status: null },
    ]);
    if (down !== undefined) down.isDown = false;
    await record(t);
    await submit();
    expect(await cosigned()).toMatchObject({ size: before.size + 2, at_ms: t.clock() });

    // A broker that does not know any more what it has sent is told.
    await t.broker.close();
    withFile(t.file, (db) => db.exec('delete from cosignatures'));
    await t.restart();
    await record(t);
    await submit();
    expect(await cosigned()).toMatchObject({ size: before.size + 3, at_ms: t.clock() });
    for (const { witness } of witnesses) witness?.close();
  });
});

describe('a policy that asks for witnesses', () => {
  it('lets what raises wait for a fresh quorum, says so, and nothing that makes things safer', async () => {
    const witness = await startWitness('w1');
    t = await startTestBroker({
      config: { witnesses: [{ url: witness.url, key: witness.vkey }] },
      editData: (data) => {
        const { config } = data as { config: object };
        return { config: { ...config, cosigned: { production: { max_age_s: 600 } } } };
      },
    });
    const proposed = await propose(t, [creation('checkout')]);
    expect(proposed.body.state).toBe('pending');
    const held = await approve(t, 'alex+mfa', proposed.body);
    expect(held.body.state).toBe('ready');
    expect(held.body.gates).toMatchObject([
      {
        code: 'cosigned_required',
        cleared_by: 'witnesses',
        call: { method: 'GET', path: '/v1/log' },
        detail: expect.stringContaining('in the last 600 seconds'),
      },
    ]);
    expect(held.body.standing.reasons).toMatchObject([{ code: 'held_for_witnesses' }]);
    const inputOf = async (id: string) => (await t.call('avery', 'GET', `/v1/decisions/${id}`)).body.input;
    expect((await inputOf(held.body.decision_id)).log.cosigned).toBeNull();

    // Nobody has to do anything: once the witness has cosigned, the broker decides again.
    await submit();
    const { size, at_ms } = await cosigned();
    t.clock.advance(60_000);
    await t.broker.scheduler.tick();
    const applied = await readRequest(t, held.body.id);
    expect(applied.state).toBe('applied');
    const decided = await inputOf(applied.decision_id);
    expect(decided.log.cosigned).toEqual({ size, at_ms });
    expect(decided.log.size).toBeGreaterThanOrEqual(size);
    await applyChanges(t, [{ action: 'enable', flag: 'checkout' }]);

    witness.isDown = true;
    t.clock.advance(601_000);
    await t.broker.scheduler.tick();
    const raise = await propose(t, [{ action: 'disable', flag: 'checkout' }]);
    expect(raise.body.state).toBe('applied');
    expect(await inputOf(raise.body.decision_id)).not.toHaveProperty('log');
    const again = await propose(t, [{ action: 'enable', flag: 'checkout' }], { ticket: TICKET });
    expect(again.body.gates.map(({ code }: { code: string }) => code)).toContain('cosigned_required');
    const freeze = { scope: 'all', incident: 'INC-1', reason: 'broken' };
    expect((await t.call('riley+mfa', 'POST', '/v1/freezes', freeze)).status).toBe(201);
    const revocation = { kind: 'subject', value: 'person:demo:sam', incident: 'INC-1', reason: 'broken' };
    expect((await t.call('riley+mfa', 'POST', '/v1/revocations', revocation)).status).toBe(201);
    const session = { incident: 'INC-1', reason: 'broken' };
    expect((await t.call('riley+mfa', 'POST', '/v1/break-glass', session)).status).toBe(201);
    witness.witness?.close();
  });
});

describe('verify --witness', () => {
  it('asks for a quorum, of the broker and of a published folder, and names who is unknown', async () => {
    const witnesses = [await startWitness('w1'), await startWitness('w2'), await startWitness('w3')];
    t = await startTestBroker({
      config: { witnesses: witnesses.map(({ url, vkey: key }) => ({ url, key })), witness_quorum: 2 },
    });
    const terminal = createTerminal(t);
    const key = (await terminal.as('avery', 'audit', 'key')).out.trim();
    const published = join(folder, 'published');
    const [w1, w2, w3] = witnesses.map(({ vkey }) => ['--witness', vkey]) as [string[], string[], string[]];
    const both = [...w1, ...w2];
    const verify = (log: string, ...more: string[]) =>
      terminal.as('avery', 'verify', ...(log === '' ? [] : [log]), '--key', key, '--json', ...more);
    const publish = () => terminal.as('avery', 'publish', '--log', published, '--json');

    expect((await publish()).code).toBe(0);
    const none = await verify(published, ...both);
    expect([none.code, none.json.code]).toEqual([8, 'quorum_missing']);
    expect(none.json.detail).toBe(
      'Only 0 of the 2 known witnesses cosigned this log, and 2 must agree on one checkpoint.',
    );

    (witnesses[2] as Running).isDown = true;
    await submit();
    const { size, at_ms } = await cosigned();
    expect(await record(t)).toBe(200);
    t.clock.advance(1000);
    expect((await publish()).code).toBe(0);
    // The newest checkpoint has no cosignature yet: the one that has is in a file of its own.
    for (const log of ['', published]) {
      const { code, json } = await verify(log, ...both);
      expect([code, json.unknown_signatures]).toEqual([0, []]);
      expect(json.size).toBeGreaterThan(size);
      expect(json.cosigned).toMatchObject({ quorum: 2, size, at_ms });
      expect(json.cosigned.witnesses.map((one: { key: string }) => one.key).toSorted()).toEqual(
        witnesses.slice(0, 2).map(({ vkey }) => vkey),
      );
      expect((await verify(log, ...both, ...w3)).code).toBe(0);
      expect((await verify(log, ...both, ...w3, '--quorum', '3')).code).toBe(8);
      expect((await verify(log, ...w1, ...w1, '--quorum', '1')).code).toBe(0);
      // A key that is named twice is one witness.
      expect((await verify(log, ...w1, ...w1, '--quorum', '2')).code).toBe(2);
      expect((await verify(log, ...w3)).code).toBe(8);
    }
    expect((await verify(published, '--quorum', '1')).code).toBe(2);
    // What they have cosigned may be asked to be young.
    const age = Math.floor((t.clock() - at_ms) / 1000);
    expect((await verify(published, ...both, '--witness-age', `${age}s`)).code).toBe(0);
    const stale = await verify(published, ...both, '--witness-age', `${age - 1}s`);
    expect([stale.code, stale.json.code]).toEqual([8, 'quorum_missing']);
    expect((await verify(published, '--witness-age', '1m')).code).toBe(2);
    expect((await verify(published, '--witness', key)).json.detail).toContain('--witness: the key is of');

    await submit();
    expect((await publish()).json.files).toBeGreaterThan(0);
    const { json } = await verify(published, ...w1);
    expect(json.unknown_signatures).toEqual([{ name: 'witness.example/w2', id: expect.any(String) }]);
    const shown = await terminal.run('verify', published, '--key', key, ...w1);
    expect(shown.out).toMatch(/Witnesses cosigned its first \d+ records, on .*: witness.example\/w1\./);
    expect(shown.out).toMatch(/unknown keys, too, which count for nothing: witness.example\/w2 \(key /);

    // What is in the file must be what they cosigned, and what the log continues.
    const file = join(published, 'cosigned');
    const good = await readFile(file, 'utf8');
    const line =
      good
        .trimEnd()
        .split('\n')
        .findLast((each) => each.includes(' witness.example/w1 ')) ?? '';
    const bytes = Buffer.from(line.split(' ').at(-1) ?? '', 'base64');
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    await writeFile(file, good.replace(line.split(' ').at(-1) ?? '', bytes.toString('base64')));
    const forged = await verify(published, ...both);
    expect([forged.code, forged.json.detail]).toEqual([
      6,
      expect.stringContaining('The cosignature of witness.example/w1'),
    ]);
    await writeFile(file, good.replace(/^\S+\n/, 'other.example/log/1\n'));
    expect((await verify(published, ...both)).code).toBe(6);
    for (const { witness } of witnesses) witness?.close();
  });
});

const SECRET = 'SQLITE_ERROR: no such table: secrets';

describe('a witness that lies', () => {
  const key = () => cosignerKey('witness.example/liar', generateKeyPairSync('ed25519').privateKey);

  /** A broker with a witness that answers so. */
  async function withLiar(
    answer: (liar: CosignerKey, note: string) => { status?: number; body: string },
  ): Promise<{ fault: string | null; at_ms: number | null; size: number | null }> {
    const liar = key();
    const url = await listen(
      createServer(async (request, response) => {
        let body = '';
        for await (const part of request) body += part;
        const { status = 200, body: text } = answer(liar, body.slice(body.indexOf('\n\n') + 2));
        response.writeHead(status).end(text);
      }),
    );
    t = await startTestBroker({ config: { witnesses: [{ url, key: liar.cosigner.vkey }] } });
    await submit();
    expect(await record(t)).toBe(200);
    return (await cosigned()).witnesses[0];
  }
  const nowS = () => Math.floor(t.clock() / 1000);

  it.each([
    [
      'a cosignature of an unknown key',
      'invalid_cosignature',
      200,
      (_: CosignerKey, note: string) => ({
        body: key().cosign(textOfNote(note), nowS()),
      }),
    ],
    [
      'a cosignature of another checkpoint',
      'invalid_cosignature',
      200,
      (liar: CosignerKey) => ({
        body: liar.cosign('other\n1\nAAAA\n', nowS()),
      }),
    ],
    ['no cosignature', 'invalid_cosignature', 200, () => ({ body: 'fine\n' })],
    ['nothing', 'invalid_cosignature', 200, () => ({ body: '' })],
    ['that it knows a longer log', 'other_history', 409, () => ({ status: 409, body: '1000000\n' })],
    ['another size each time', 'invalid_answer', 409, () => ({ status: 409, body: `${1 + (nowS() % 2)}\n` })],
    ['that it saw another history', 'other_history', 422, () => ({ status: 422, body: 'another history' })],
    ['no size', 'invalid_answer', 409, () => ({ status: 409, body: `${SECRET}\n` })],
    ['a refusal', 'refused', 403, () => ({ status: 403, body: SECRET })],
    ['a refusal without an end', 'refused', 500, () => ({ status: 500, body: SECRET.repeat(20_000) })],
    ['a redirect', 'unreachable', null, () => ({ status: 302, body: SECRET })],
    [
      'an answer that is too long',
      'invalid_answer',
      200,
      (liar: CosignerKey, note: string) => ({ body: liar.cosign(textOfNote(note), nowS()).repeat(200) }),
    ],
  ])(
    'with %s is not believed, and nothing that it says is published',
    async (_, fault, fault_status, answer) => {
      expect(await withLiar(answer)).toMatchObject({
        size: null,
        at_ms: null,
        fault,
        fault_status,
      });
      expect((await cosigned()).size).toBeNull();
      expect(JSON.stringify(await cosigned())).not.toContain(SECRET);
    },
  );

  it('without an end is not read to it', async () => {
    let sent = 0;
    const ended = Promise.withResolvers<void>();
    const url = await listen(
      createServer((_, response) => {
        response.on('close', ended.resolve);
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(10_000, 'a'))) sent += 10_000;
        };
        response.on('drain', more);
        more();
      }),
    );
    t = await startTestBroker({ config: { witnesses: [{ url, key: key().cosigner.vkey }] } });
    await submit();
    await ended.promise;
    expect((await cosigned()).witnesses[0]).toMatchObject({ fault: 'invalid_answer', fault_status: 200 });
    // What the buffers of the two connections hold.
    expect(sent).toBeLessThan(20_000_000);
  });

  it('of a size that this log has by now is asked for its proof the next time', async () => {
    let known = 0;
    const statuses: number[] = [];
    const url = await listen(
      createServer(async (request, response) => {
        let body = '';
        for await (const part of request) body += part;
        const size = Number(body.slice(body.indexOf('\n\n') + 2).split('\n')[1]);
        if (known === 0) {
          // As another broker on the same log does, which sends its checkpoint first.
          await record(t);
          known = size + 1;
        }
        const old = Number(/^old (\d+)\n/.exec(body)?.[1]);
        const status = old === known ? 422 : 409;
        statuses.push(status);
        response.writeHead(status).end(`${known}\n`);
      }),
    );
    t = await startTestBroker({ config: { witnesses: [{ url, key: key().cosigner.vkey }] } });
    await submit();
    expect((await cosigned()).witnesses[0]).toMatchObject({ size: null, fault: null });
    await submit();
    expect((await cosigned()).witnesses[0]).toMatchObject({ fault: 'other_history', fault_status: 422 });
    expect(statuses).toEqual([409, 409, 422]);
  });

  it('about the time makes nothing fresher', async () => {
    const ahead = await withLiar((liar, note) => ({ body: liar.cosign(textOfNote(note), nowS() + 86_400) }));
    expect(ahead).toMatchObject({ at_ms: t.clock(), fault: null });
  });

  it('with an old cosignature is as old as that', async () => {
    const old = await withLiar((liar, note) => ({ body: liar.cosign(textOfNote(note), nowS() - 86_400) }));
    expect(old.at_ms).toBe(t.clock() - 86_400_000);
    expect((await cosigned()).at_ms).toBe(t.clock() - 86_400_000);
  });
});
