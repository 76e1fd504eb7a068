import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { readJob } from '../../fixtures/demo/read-job.ts';

const PRINT = `
  console.log('ACTIONS_ID_TOKEN_REQUEST_URL=http://127.0.0.1:1/token?a=b');
  console.log('ACTIONS_ID_TOKEN_REQUEST_TOKEN=t');
`;

it('a process that goes on to write after it told the job lives on', async () => {
  const writeMore = `process.stdin.once('data', () => {
    process.stdout.write('a warning of a library'.repeat(10_000), (error) => process.exit(error ? 1 : 7));
  });`;
  const child = spawn(process.execPath, ['-e', PRINT + writeMore], { stdio: ['pipe', 'pipe', 'ignore'] });
  const code = new Promise((resolve) => child.once('exit', resolve));
  expect(await readJob(child.stdout)).toEqual({
    requestUrl: 'http://127.0.0.1:1/token?a=b',
    requestToken: 't',
  });
  child.stdin.end('go on');
  expect(await code).toBe(7);
});

it('output that ends before it told the job is no job', async () => {
  expect(await readJob(Readable.from(['identity provider  http://127.0.0.1:1\n']))).toBeNull();
});
