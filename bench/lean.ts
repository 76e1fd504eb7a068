import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { serve, usage } from './child.ts';
import { createBatches, type Work } from './floor-batch.ts';
import { openFloorPolicy } from './floor-policy.ts';
import { createFloorTokens } from './floor-tokens.ts';
import { openLean } from './rows.ts';
import { readTemplateFile } from './templates.ts';

/**
 * The lean floor under a toggle: bare `node:http`, token verification with a cache, one evaluation of the shipped module
 * with the full input, one row for the decision and one for the flag, in one batched durable transaction. It has a
 * database of its own, without indexes, log, request or any check. Arguments: bundle, database, templates, issuer.
 */
const [bundleFile = '', database = '', templatesFile = '', issuer = ''] = process.argv.slice(2);
const { toggle } = readTemplateFile(templatesFile);
const [step] = toggle.steps;
if (step === undefined) throw new Error('a toggle has one decision');
const { request, ...rest } = step.input;
const policy = await openFloorPolicy(bundleFile);
const tokens = createFloorTokens(issuer);
const { inTransaction, insertDecision, writeFlag, close } = openLean(database);
const write = createBatches(inTransaction((works: readonly Work[]) => works.map((work) => work())));
const encoder = new TextEncoder();

const server = createServer((req, res) => {
  answer(req, res).catch((error: unknown) => {
    res.writeHead(500).end(String(error));
  });
});

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const [body] = await Promise.all([text(req), tokens.verify(req.headers.authorization ?? '')]);
  const { changes } = JSON.parse(body) as { changes: { flag: string }[] };
  const key = changes[0]?.flag ?? '';
  const id = randomUUID();
  await write(() => decide(id, key));
  const answered = JSON.stringify({ ...toggle.answer, id });
  res.writeHead(201, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(answered),
  });
  res.end(answered);
}

function decide(id: string, key: string): void {
  const asked = request.changes.map(({ flag, ...change }) => ({ ...change, flag: { ...flag, key } }));
  const input = JSON.stringify({ ...rest, request: { ...request, id, changes: asked } });
  const result = policy.evaluate(encoder.encode(input).buffer);
  if (result.effect !== step?.effect) throw new Error(`the lean floor decided ${result.effect}`);
  insertDecision.run(id, input, JSON.stringify(result));
  writeFlag.run(key, toggle.state);
}

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  serve({
    answer: async () => ({ url: `http://127.0.0.1:${port}`, ...usage() }),
    end: async () => {
      server.close();
      close();
    },
  });
});
