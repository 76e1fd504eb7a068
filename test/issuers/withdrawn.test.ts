import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keySetAnswer, startIssuer, type TestIssuer } from '../identity/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { countRows, proposal } from '../support/flags.ts';

/*
 * An issuer that publishes no usable keys any more has withdrawn them: its tokens change nothing at once, verified before or
 * not, and read for as long as those of an issuer that cannot be reached.
 */

let t: TestBroker;
let issuer: TestIssuer;

beforeAll(async () => {
  issuer = await startIssuer({ key: 'demo', disjoint: true });
  t = await startTestBroker({
    config: (defaults) => ({
      issuers: [
        ...(defaults.issuers as { key: string }[]).map((each) => ({ ...each, key: `${each.key}-first` })),
        { ...issuer.config, key: 'second' },
      ],
    }),
  });
});
afterAll(async () => {
  await t.close();
  await issuer.server.close();
});

const token = () => {
  const iat = Math.floor(t.clock() / 1000);
  return issuer.token({ iat, exp: iat + 3600, sub: `dana-${iat}` });
};
const as = (bearer: string) => ({ authorization: `Bearer ${bearer}` });
const write = (bearer: string) =>
  t.call(null, 'POST', '/v1/requests', proposal([{ action: 'enable', flag: 'checkout' }]), as(bearer));
const read = (bearer: string) => t.call(null, 'GET', '/v1/whoami', undefined, as(bearer));

describe('an issuer without usable keys', () => {
  it('changes nothing, by tokens that were verified before and by others, and reads', async () => {
    const known = token();
    expect((await read(known)).status).toBe(200);
    // Policy denies the stranger, which is a decision: the token counts.
    expect((await write(known)).body.code).toBe('policy_denied');

    issuer.server.answer((_request, response) => void response.end('{"keys":[]}'));
    t.clock.advance(30_000);
    expect((await read(issuer.token({}, { kid: 'unknown' }))).status).toBe(401);

    const fresh = token();
    const before = await countRows(t);
    for (const bearer of [known, fresh]) {
      expect(await write(bearer)).toMatchObject({ status: 503, body: { code: 'issuer_unavailable' } });
      expect((await read(bearer)).status).toBe(200);
    }
    expect(await countRows(t)).toEqual(before);

    issuer.server.answer(keySetAnswer(issuer.key));
    t.clock.advance(5_000);
    for (const bearer of [known, fresh]) {
      expect((await write(bearer)).body.code).toBe('policy_denied');
    }
  });
});
