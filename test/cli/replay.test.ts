import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withConfig } from '../support/activation.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { appendTo } from '../support/entries.ts';
import { createFlag, propose } from '../support/flags.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;
let decision: string;
let exported: string;
const bundle = () => join(t.folder, 'bundle.tar.gz');

beforeAll(async () => {
  t = await startTestBroker({ forged: true });
  terminal = createTerminal(t);
  await createFlag(t, 'replayed');
  decision = (await propose(t, [{ action: 'enable', flag: 'replayed' }])).body.decision_id;
  exported = (await terminal.as('avery', 'decisions', decision, '--json')).out;
});
afterAll(() => t.close());

async function offline(document: unknown, ...more: string[]) {
  const file = join(t.folder, 'decision.json');
  await writeFile(file, typeof document === 'string' ? document : JSON.stringify(document));
  return terminal.run('replay', '--file', file, ...more);
}

describe('replay', () => {
  it('of one decision says that it comes out the same', async () => {
    const { code, out } = await terminal.as('avery', 'replay', decision);
    expect(out).toMatch(/replay +same/);
    expect(code).toBe(0);
    const { json } = await terminal.as('avery', 'replay', decision, '--json');
    expect(json).toMatchObject({ id: decision, outcome: 'same' });
  });

  it('of a span of places or times counts, and exits with 0 although operators are not replayed', async () => {
    for (const since of ['1', '2020-01-01', '2020-01-01T00:00:00+01:00']) {
      const { code, out } = await terminal.as('avery', 'replay', '--since', since);
      expect(out).toMatch(/places 1 to \d+: \d+ same, 0 different/);
      expect(out).toMatch(/1 not replayed +No policy made this decision/);
      expect(code).toBe(0);
    }
    const { json } = await terminal.as('avery', 'replay', '--since', '2', '--until', '3', '--json');
    expect(json).toMatchObject({ from_place: 2, to_place: 3, replayed: 2, same: 2, not_replayable: {} });
  });

  it('says what it has done so far, page by page', async () => {
    for (let place = 0; place < 220; place += 1) {
      await appendTo(t.broker.store, { decision: { ...forgery(), versions: NOBODY } });
    }
    const { code, err, out } = await terminal.as('avery', 'replay', '--since', '1');
    expect(err).toMatch(/Replayed \d+ decisions, up to place 200 of \d+/);
    expect(out).toMatch(/places 1 to 2\d\d: /);
    expect(code).toBe(0);
  });

  it('exits with 4 for who may not read the log', async () => {
    expect((await terminal.as('dana', 'replay', decision)).code).toBe(4);
    expect((await terminal.as('dana', 'replay', '--since', '1')).code).toBe(4);
  });

  it.each([
    [[], /Specify a decision, --since, or --file/],
    [['x', '--since', '1'], /not both/],
    [['--since', 'soon'], /invalid time "soon".*or a place in the log/],
    [['--since', '1', '--bundle', 'x'], /--bundle requires --file/],
    [['--file', 'x'], /requires --bundle/],
    [['--file', '/nowhere', '--bundle', 'x'], /cannot be read/],
    [['x', '--file', 'x', '--bundle', 'x'], /the one decision that is in the file/],
  ])('refuses %j', async (words, message) => {
    const { code, err } = await terminal.as('avery', 'replay', ...words);
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });

  it('shows the first difference of a span, exits with 6, and with 5 for a gap', async () => {
    const place = await appendTo(t.broker.store, { decision: { ...forgery(), policy_hash: 'sha256:00' } });
    const gap = await terminal.as('avery', 'replay', '--since', String(place), '--until', String(place));
    expect(gap.out).toMatch(/1 not replayed +This database does not have the policy bundle/);
    expect(gap.code).toBe(5);
    const forged = await appendTo(t.broker.store, { decision: forgery() });
    const { code, out } = await terminal.as('avery', 'replay', '--since', String(place));
    expect(out).toMatch(new RegExp(`First difference:\\ndecision .*place ${forged}\\n`));
    expect(out).toMatch(/first +result\/effect\nrecorded +"allow"\nreplayed +"hold"/);
    expect(code).toBe(6);
  });
});

const NOBODY = { input: null, result: 1, guardrails: null };

/** A decision that the policy never made. */
function forgery() {
  const { input, input_digest, result, policy_hash, record } = JSON.parse(exported);
  return {
    ...result,
    effect: 'allow',
    versions: record.schema,
    policy_hash,
    input_json: JSON.stringify(input),
    input_digest,
  };
}

describe('replay --file', () => {
  it('replays an exported decision without a broker', async () => {
    const { code, out } = await offline(exported, '--bundle', bundle());
    expect(out).toMatch(/replay +same/);
    expect(code).toBe(0);
  });

  it.each([
    ['input', (document: Exported) => (document.input.clock.now_ms += 1), /first +input\n/],
    ['result', (document: Exported) => (document.result.effect = 'allow'), /first +result\/effect\n/],
    [
      'obligation',
      (document: Exported) => document.result.obligations.pop(),
      /first +result\/obligations\/0\n/,
    ],
    ['guardrail', (document: Exported) => (document.record.guardrail = 'frozen'), /first +guardrail\n/],
  ])('shows that the %s is another', async (_, change, difference) => {
    const document = JSON.parse(exported);
    change(document);
    const { code, out } = await offline(document, '--bundle', bundle());
    expect(out).toMatch(difference);
    expect(code).toBe(6);
  });

  it('shows that the bundle is another', async () => {
    const other = join(t.folder, 'other.tar.gz');
    await writeFile(
      other,
      await withConfig(await readFile(bundle()), ({ limits }) => Object.assign(limits ?? {}, { more: 1 })),
    );
    const { code, out } = await offline(exported, '--bundle', other);
    expect(out).toMatch(/first +bundle\nrecorded +"sha256:.*"\nreplayed +"sha256:/);
    expect(code).toBe(6);
  });

  it('says why a decision cannot be replayed, and exits with 5', async () => {
    const { body } = await t.call('avery', 'GET', '/v1/decisions?operation=policy.activate');
    const started = (await terminal.as('avery', 'decisions', body.items[0].id, '--json')).out;
    const { code, out } = await offline(started, '--bundle', bundle());
    expect(out).toMatch(/why +No policy made this decision/);
    expect(code).toBe(5);
    const old = { ...JSON.parse(exported), record: null };
    expect((await offline(old, '--bundle', bundle(), '--json')).json.why.code).toBe('record_version_0');
  });

  it('refuses what is no decision, or no bundle', async () => {
    expect((await offline('{', '--bundle', bundle())).err).toMatch(/not an exported decision/);
    expect((await offline({ id: 1 }, '--bundle', bundle())).code).toBe(2);
    const { code, err } = await offline(exported, '--bundle', join(t.folder, 'decision.json'));
    expect(err).toMatch(/The bundle is not usable/);
    expect(code).toBe(1);
  });
});

// biome-ignore lint/suspicious/noExplicitAny: the exported document, to be changed
type Exported = any;
