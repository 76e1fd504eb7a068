import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal, type Terminal } from './support.ts';

let t: TestBroker;
let terminal: Terminal;

beforeAll(async () => {
  t = await startTestBroker();
  terminal = createTerminal(t);
  await terminal.as('dana', 'list');
});
afterAll(() => t.close());

it('draws who may do what as a table, with the bindings that nobody uses', async () => {
  const { code, out } = await terminal.as('avery', 'access', 'list', '--capability', 'propose');
  expect(code).toBe(0);
  expect(out).toMatch(/PRINCIPAL +MAY +ENVIRONMENT +NAMESPACE +BY +LAST USED/);
  expect(out).toMatch(
    /person:demo:dana +propose +production +payments +group payments-developers at \S+ +never/,
  );
  expect(out).toMatch(/Bindings unused for 90 days: none\nUses are known since Wed 18 Nov 2026, 09:30 UTC: /);
  t.clock.advance(91 * 24 * 3_600_000);
  const later = await terminal.as('avery', 'access', 'list', '--capability', 'propose');
  expect(later.out).toMatch(/group customer-success at \S+ +\S.* +0 +never/);
  expect(later.out).not.toContain('Uses are known since');
});

it('answers with the document that the broker gave', async () => {
  const { code, json } = await terminal.as(
    'avery',
    ...['access', 'list', '--principal', 'emp-1001', '--unused', '--unused-days', '30', '--json'],
  );
  expect(code).toBe(0);
  expect(json.unused_days).toBe(30);
  expect(json.grants.length).toBeGreaterThan(0);
  expect(json.grants.every((grant: { unused: boolean }) => grant.unused)).toBe(true);
});

it('refuses what it does not know, and passes a refusal on', async () => {
  expect((await terminal.as('avery', 'access', 'list', '--capability', 'fly')).code).toBe(2);
  expect((await terminal.as('avery', 'access', 'list', '--unused-days', 'x')).code).not.toBe(0);
  expect((await terminal.as('dana', 'access', 'list')).code).toBe(4);
});
