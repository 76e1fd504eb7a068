import { createHash, randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import express, { type NextFunction, type Request, type Response } from 'express';
import { serve, usage } from './child.ts';
import { openFloorPolicy } from './floor-policy.ts';
import { openFloorStore } from './floor-store.ts';
import { createFloorExchange, createFloorTokens } from './floor-tokens.ts';
import { type CallTemplate, readTemplateFile, type StepTemplate } from './templates.ts';

/**
 * The floor under governed writes: a small Express program of the same parts and none of the product's code. It verifies
 * the token, evaluates the same bundle on the same inputs, writes the same rows in one batched transaction, and answers
 * the same document. It checks nothing else. Arguments: bundle, database, templates, issuer, CI
 * issuer.
 */
const [bundleFile = '', database = '', templatesFile = '', issuer = '', ciIssuer = ''] =
  process.argv.slice(2);
const templates = readTemplateFile(templatesFile);
const policy = await openFloorPolicy(bundleFile);
const store = openFloorStore(database);
const tokens = createFloorTokens(issuer);
const exchange = await createFloorExchange(ciIssuer);

const app = express();
app.disable('x-powered-by').disable('etag');
app.use(express.json());
app.use(express.urlencoded());
app.post('/v1/requests', async (req, res) => {
  const body = req.body as { apply?: string; changes: { flag: string }[] };
  const template = body.apply === 'manual' ? templates.propose : templates.toggle;
  const flag = body.changes[0]?.flag ?? '';
  res.status(201).json(await perform(req, template, { id: randomUUID(), flag, content: body }));
});
app.post('/v1/requests/:id/approve', async (req, res) => {
  res.json(await performStored(req, templates.approve));
});
app.post('/v1/requests/:id/apply', async (req, res) => {
  res.json(await performStored(req, templates.apply));
});
app.post('/oauth/token', async (req, res) => {
  const { subject_token } = req.body as { subject_token: string };
  const { jti, exp } = await exchange.verify(subject_token);
  await store.write(() => {
    store.claimToken({ issuer: ciIssuer, jti, expires_ms: exp * 1000, repeatable_for: null, uses: 1 });
    record(templates.exchange, { id: null, flag: null, input: templates.exchange.input });
  });
  res.json({ access_token: await exchange.sign(), token_type: 'Bearer', expires_in: 600 });
});
app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
  res.status(500).json({ error: error.stack });
});

const server = app.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  serve({
    answer: async () => ({ url: `http://127.0.0.1:${port}`, ...usage() }),
    end: async () => {
      server.close();
      store.close();
    },
  });
});

interface Subject {
  id: string;
  flag: string;
  content: unknown;
}

async function performStored(req: Request, template: CallTemplate): Promise<object> {
  const id = String(req.params.id);
  const row = store.findRequest(id);
  const content = JSON.parse(row.content) as { changes: { flag: string }[] };
  return perform(req, template, { id, flag: content.changes[0]?.flag ?? '', content });
}

async function perform(req: Request, template: CallTemplate, subject: Subject): Promise<object> {
  await tokens.verify(req.headers.authorization ?? '');
  return store.write(() => {
    for (const step of template.steps) {
      record(step, { ...subject, input: inputOf(step.input, subject) });
    }
    if (template.vote !== null) store.insertVote({ ...template.vote, request_id: subject.id });
    if (template.state !== null) store.writeState(subject.flag, template.state, subject.id);
    const row = { ...template.request, id: subject.id, content: JSON.stringify(subject.content) };
    if (req.params.id === undefined) store.insertRequest(row, subject.flag);
    else store.updateRequest(row);
    return { ...template.answer, id: subject.id };
  });
}

/** Decides, and writes the record with the decision beside it. */
function record(step: StepTemplate, about: { id: string | null; flag: string | null; input: object }): void {
  const decisionId = randomUUID();
  const input = JSON.stringify(about.input);
  const { effect, ...rest } = policy.evaluate(about.input);
  if (effect !== step.effect) throw new Error(`the floor decided ${effect}: ${JSON.stringify(rest)}`);
  const digest = createHash('sha256').update(input).digest('hex');
  const details = JSON.stringify({ ...step.details, id: decisionId, input_digest: `sha256:${digest}` });
  const result = JSON.stringify({ effect, ...rest });
  store.insertRecord(
    { ...step.detailsRow, id: decisionId, request_id: about.id, details, input, result },
    { leaf: JSON.stringify({ ...step.leaf, id: decisionId }), flag: about.flag, effects: step.effects },
  );
}

function inputOf({ request, ...rest }: CallTemplate['steps'][number]['input'], subject: Subject): object {
  const changes = request.changes.map(({ flag, ...change }) => ({
    ...change,
    flag: { ...flag, key: subject.flag },
  }));
  return { ...rest, request: { ...request, id: subject.id, changes } };
}
