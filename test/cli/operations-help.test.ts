import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  BROKER_EVENTS,
  OPERATIONS,
  OPERATOR_ACTS,
  operationsBy,
  RECORDED_NAMES,
} from '../../src/operations.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal } from './support.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});
afterAll(() => t.close());

it.each([
  ['decisions', RECORDED_NAMES],
  ['agents delegate', operationsBy('agent', OPERATIONS)],
  ['trust test', operationsBy('workload', OPERATIONS)],
])('the help of %s names the operations that it takes, with what each is', async (command, names) => {
  const { code, out } = await createTerminal(t).run(...command.split(' '), '--help');
  expect(code).toBe(0);
  const listed = [...out.matchAll(/^ {2}([a-z]+\.[a-z_]+) +(\S.*)$/gm)].map(([, name, says]) => [name, says]);
  const rows = { ...OPERATIONS, ...OPERATOR_ACTS, ...BROKER_EVENTS };
  expect(listed).toEqual(names.map((name) => [name, rows[name as keyof typeof rows].says]));
});
