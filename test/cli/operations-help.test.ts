import { afterAll, beforeAll, expect, it } from 'vitest';
import { OPERATION_NAMES, OPERATIONS, operationsBy } from '../../src/operations.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTerminal } from './support.ts';

let t: TestBroker;

beforeAll(async () => {
  t = await startTestBroker();
});
afterAll(() => t.close());

it.each([
  ['decisions', OPERATION_NAMES],
  ['agents delegate', operationsBy('agent', OPERATIONS)],
  ['trust test', operationsBy('workload', OPERATIONS)],
])('the help of %s names the operations that it takes, with what each is', async (command, names) => {
  const { code, out } = await createTerminal(t).run(...command.split(' '), '--help');
  expect(code).toBe(0);
  const listed = [...out.matchAll(/^ {2}([a-z]+\.[a-z]+) +(\S.*)$/gm)].map(([, name, says]) => [name, says]);
  expect(listed).toEqual(names.map((name) => [name, OPERATIONS[name as keyof typeof OPERATIONS].says]));
});
