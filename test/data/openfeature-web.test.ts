import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature as ServerOpenFeature } from '@openfeature/server-sdk';
import { OpenFeature, type Provider, ProviderEvents } from '@openfeature/web-sdk';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { claimsOf, revoke } from '../revocation/support.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { TestEventSource } from '../support/event-source.ts';
import { applyChanges, createFlag } from '../support/flags.ts';

/* The providers of OpenFeature as applications have them, at a real broker. Nobody asks it again but because of an event. */

const FLAG = 'web.banner';

let t: TestBroker;
let token: string;
/** The paths and statuses of the provider's calls. */
const calls: string[] = [];

const newToken = () => t.workloadToken('checkout', { audience: 'data:production' });
const value = () => OpenFeature.getClient().getBooleanValue(FLAG, false);
const change = (action: 'enable' | 'disable') => applyChanges(t, [{ action, flag: FLAG }]);

beforeAll(async () => {
  vi.stubGlobal('EventSource', TestEventSource);
  t = await startTestBroker();
  await createFlag(t, FLAG, { tier: 'informational' });
  token = await newToken();
  await OpenFeature.setContext({ targetingKey: 'ann', organization: 'acme' });
  await OpenFeature.setProviderAndWait(
    new OFREPWebProvider({
      baseUrl: t.url,
      headersFactory: async () => [['Authorization', `Bearer ${token}`]],
      fetchImplementation: async (input: Request | URL | string, init?: RequestInit) => {
        const answer = await fetch(input, init);
        calls.push(
          `${new URL(String(input instanceof Request ? input.url : input)).search} ${answer.status}`,
        );
        return answer;
      },
      // Its types allow `hooks: undefined`, those of the SDK do not.
    }) as Provider,
  );
});

afterAll(async () => {
  await OpenFeature.close();
  await ServerOpenFeature.close();
  for (const source of TestEventSource.all) source.close();
  vi.unstubAllGlobals();
  await t.close();
});

it('a page has the new value after a change was applied, and asks once for it', async () => {
  await expect.poll(() => TestEventSource.all.at(-1)?.readyState).toBe(TestEventSource.OPEN);
  // What came with the connection has changed nothing.
  await expect.poll(() => calls.at(-1)).toMatch(/^\?flagConfigEtag=[\w-]+ 304$/);
  expect(value()).toBe(false);
  const changed = vi.fn();
  OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, changed);
  const before = calls.length;
  await change('enable');
  await expect.poll(value).toBe(true);
  expect(changed).toHaveBeenCalledWith(expect.objectContaining({ flagsChanged: [FLAG] }));
  expect(calls.slice(before)).toEqual([expect.stringMatching(/^\?flagConfigEtag=[\w-]+ 200$/)]);
});

it('a page that was cut off has what it missed', async () => {
  const source = TestEventSource.all.at(-1);
  const lost = source?.next('error');
  source?.cut();
  await lost;
  await change('disable');
  await expect.poll(value).toBe(false);
  expect(TestEventSource.all.at(-1)).toBe(source);
});

it('a page whose token has ended opens the stream of its new one', async () => {
  const former = TestEventSource.all.at(-1);
  const old = claimsOf(token);
  token = await newToken();
  await revoke(t, 'token', `${old.iss}#jti:${old.jti}`);
  await expect.poll(() => TestEventSource.all.at(-1), { timeout: 10_000 }).not.toBe(former);
  expect(former?.statuses.at(-1)).toBe(401);
  await expect.poll(() => TestEventSource.all.at(-1)?.readyState).toBe(TestEventSource.OPEN);
  await change('enable');
  await expect.poll(value).toBe(true);
});

it('another context gets another answer, at the same stream', async () => {
  const source = TestEventSource.all.at(-1);
  await applyChanges(t, [
    { action: 'set_audience', flag: FLAG, audience: { kind: 'some', organizations: ['acme'], users: [] } },
  ]);
  await OpenFeature.setContext({ targetingKey: 'ann', organization: 'globex' });
  await expect.poll(value).toBe(false);
  await OpenFeature.setContext({ targetingKey: 'ann', organization: 'acme' });
  await expect.poll(value).toBe(true);
  expect(TestEventSource.all.at(-1)).toBe(source);
});

it('a service has the new value with its next call', async () => {
  const provider = new OFREPProvider({ baseUrl: t.url, headers: [['Authorization', `Bearer ${token}`]] });
  await ServerOpenFeature.setProviderAndWait(provider);
  const service = ServerOpenFeature.getClient();
  const context = { targetingKey: 'ann', organization: 'acme' };
  expect(await service.getBooleanValue(FLAG, false, context)).toBe(true);
  await change('disable');
  expect(await service.getBooleanDetails(FLAG, true, context)).toMatchObject({
    value: false,
    reason: 'DISABLED',
    variant: 'off',
  });
});
