import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMoment } from '../src/cli/parse-moment.ts';
import { readMoment } from '../src/moment.ts';
import { startTestBroker, type TestBroker } from './support/broker.ts';
import { applyChanges, createFlag, propose } from './support/flags.ts';

/* Times that people write: one reader for the API and the command line, and one normal form of the ends of lines. */

const NINE = Date.UTC(2026, 10, 19, 9);

describe('a time', () => {
  it.each([
    ['2026-11-19T09:00:00Z', NINE],
    ['2026-11-19T09:00Z', NINE],
    ['2026-11-19 09:00Z', NINE],
    ['2026-11-19t09:00z', NINE],
    ['2026-11-19T10:00+01:00', NINE],
    ['2026-11-19T10:00:00.250+01:00', NINE + 250],
    ['2026-11-19', Date.UTC(2026, 10, 19)],
  ])('%s is read, by the command line too', (text, ms) => {
    expect(readMoment(text)).toEqual({ ms });
    expect(parseMoment('--from', text)).toBe(ms);
  });

  it.each([
    ['2026-11-19T09:00', /^Add the offset/],
    ['2026-11-19 09:00:00', /^Add the offset/],
    ['2026-02-30', /^There is no such time/],
    ['2026-11-19T25:00Z', /^There is no such time/],
    ['2026-11-19T09:00+99:00', /^There is no such time/],
    ['1969-12-31', /after 1970/],
    ['tomorrow', /^Write it as/],
    ['2026-11-19T09Z', /^Write it as/],
    ['2026-11-19\n', /^Write it as/],
    ['', /^Write it as/],
  ])('%j is refused with what is expected, by the command line too', (text, fault) => {
    expect(readMoment(text)).toEqual({ fault: expect.stringMatching(fault) });
    const { fault: said } = readMoment(text) as { fault: string };
    expect(() => parseMoment('--from', text)).toThrow(said);
  });
});

describe('at a broker', () => {
  let t: TestBroker;
  beforeAll(async () => {
    t = await startTestBroker();
    await createFlag(t, 'nav');
    await createFlag(t, 'next');
    await applyChanges(t, [{ action: 'enable', flag: 'nav' }]);
  });
  afterAll(() => t.close());

  const disable = [{ action: 'disable', flag: 'nav' }];

  it('a start without seconds is the same content as one with', async () => {
    const [short, long] = [
      await propose(t, disable, { start_ms: '2026-11-19 09:00Z' }),
      await propose(t, disable, { start_ms: '2026-11-19T09:00:00Z' }),
    ];
    expect([short.status, short.body.start_ms]).toEqual([201, NINE]);
    expect(short.body.digest).toBe(long.body.digest);
  });

  it('every call says what is expected of a time', async () => {
    const text = '2026-11-19T09:00';
    const { fault } = readMoment(text) as { fault: string };
    const { body } = await propose(t, disable, { apply: 'manual' });
    for (const [who, method, path, sent] of [
      [
        'dana',
        'POST',
        '/v1/requests',
        { environment: 'production', reason: 'x', changes: disable, start_ms: text },
      ],
      ['dana', 'POST', `/v1/requests/${body.id}/schedule`, { at: text, digest: body.digest }],
      ['avery', 'GET', `/v1/decisions?from=${text}`, undefined],
      ['avery', 'POST', '/v1/replays', { to: text }],
    ] as const) {
      const { status, body: said } = await t.call(who, method, path, sent);
      expect([path, status, said.code]).toEqual([path, 400, 'invalid_request']);
      expect(said.errors).toEqual([{ pointer: expect.any(String), detail: fault }]);
    }
  });

  it('every end of a line is a line feed before the digest is made', async () => {
    const enable = [{ action: 'enable', flag: 'next' }];
    const told = async (reason: string) => (await propose(t, enable, { reason })).body;
    const [unix, windows, old] = [
      await told('one\n\ntwo'),
      await told('one\r\n\r\ntwo'),
      await told('one\r\rtwo'),
    ];
    expect(windows.reason).toBe('one\n\ntwo');
    expect([windows.digest, old.digest]).toEqual([unix.digest, unix.digest]);
    const vote = { digest: unix.digest, comment: 'fine\r\nby me' };
    const { body } = await t.call('alex+mfa', 'POST', `/v1/requests/${unix.id}/approve`, vote);
    expect(body.approvals).toMatchObject([{ comment: 'fine\nby me' }]);
  });
});
