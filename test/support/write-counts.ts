import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setImmediate } from 'node:timers/promises';
import { exchange, type Reply, startTestBroker, type TestBroker } from './broker.ts';
import { type Bytes, countBytes, countStatements, type StatementCount } from './sqlite/counting.ts';

/*
 * What each kind of write takes: counted, not timed, so that it is the same on every machine. One call after another, so
 * each write is a batch of its own, but for one kind.
 */

/** What one write of a kind takes. */
export interface WriteCount {
  /** Statements of the write itself: from its savepoint to where that is released. */
  statements: number;
  /** All others from the call to its answer: those of the caller, and of the batch, which writes at the same time share. */
  around: number;
  /** Evaluations of the policy. */
  evaluations: number;
  /** Bytes that go to the disk: each page into the write-ahead log, and later, once for all writes, into the file. */
  writtenBytes: number;
  /** Bytes that the file grows by. */
  keptBytes: number;
  /** The same by table and index, without what is free in their pages. */
  keptIn: ReadonlyMap<string, number>;
}

/** The kinds of writes, in the order of the count. */
export const WRITE_KINDS = [
  'toggle',
  'toggle with others',
  'toggle with an Idempotency-Key',
  'propose',
  'approve',
  'apply',
  'reject',
  'withdraw',
  'approve, refused',
  'exchange a token',
  'read a sensitive flag',
] as const;

/** One kind of write. */
export type WriteKind = (typeof WRITE_KINDS)[number];

/** The kind whose writes come at the same time, and share a batch. */
const TOGETHER = 'toggle with others' satisfies WriteKind;

/** How many writes of each kind are counted: so many that pages are told apart from rows. */
export const EACH = 24;

const TOGGLED = 'count-toggle';
const SHOWN = 'count-shown';

/** Starts a broker and counts what each kind of write takes. @throws Error if a call is not answered as it should be */
export async function countWrites(): Promise<Record<WriteKind, WriteCount>> {
  const statements = countStatements();
  const evaluations = countEvaluations();
  const t = await startTestBroker({ editData: withSensitiveFlags });
  try {
    await createFlags(t);
    return await countEach(t, { statements, evaluations });
  } finally {
    evaluations.stop();
    statements.stop();
    await t.close();
  }
}

/** Reads of the counted flags are recorded. */
function withSensitiveFlags(data: unknown): unknown {
  const { config } = data as { config: object };
  return { config: { ...config, recorded_reads: { namespaces: ['payments'] } } };
}

interface Counters {
  statements: StatementCount;
  evaluations: EvaluationCount;
}

async function countEach(t: TestBroker, counters: Counters): Promise<Record<WriteKind, WriteCount>> {
  const count = (status: number, call: (place: number) => Promise<Reply>) =>
    countCalls(t.file, { counters, status, call });
  const request = (who: string, place: number, requests: readonly Reply[], act: string, body?: object) =>
    t.call(who, 'POST', `/v1/requests/${requests[place]?.body.id}/${act}`, body);
  const digestOf = (place: number, requests: readonly Reply[]) => ({ digest: requests[place]?.body.digest });

  const toggle = await count(201, (place) => propose(t, toggleOf(place, 'enable')));
  const together = await countTogether(t, counters);
  const keyed = await count(201, (place) =>
    propose(t, toggleOf(place, 'enable'), { 'idempotency-key': `key-${place}` }),
  );
  const proposals: Reply[] = [];
  const propose1 = await count(201, async (place) => {
    const reply = await propose(t, audienceOf(place, 'globex'));
    proposals.push(reply);
    return reply;
  });
  const refused = await count(403, (place) =>
    request('dana', place, proposals, 'approve', digestOf(place, proposals)),
  );
  const approve = await count(200, (place) =>
    request('alex', place, proposals, 'approve', digestOf(place, proposals)),
  );
  const apply = await count(200, (place) => request('dana', place, proposals, 'apply'));
  const others: Reply[] = [];
  for (let place = 0; place < 2 * EACH; place += 1) {
    others.push(await propose(t, audienceOf(place % EACH, `other-${place}`)));
  }
  const reject = await count(200, (place) =>
    request('alex', place, others, 'reject', digestOf(place, others)),
  );
  const withdraw = await count(200, (place) => request('dana', EACH + place, others, 'withdraw'));
  const subjectTokens = await Promise.all(Array.from({ length: EACH }, () => t.ci.token()));
  const exchanged = await count(200, (place) => exchange(t.url, subjectTokens[place] ?? ''));
  const read = await count(200, (place) => t.call('dana', 'GET', `/v1/flags/${TOGGLED}-${place}`));
  return {
    toggle,
    [TOGETHER]: together,
    'toggle with an Idempotency-Key': keyed,
    propose: propose1,
    approve,
    apply,
    reject,
    withdraw,
    'approve, refused': refused,
    'exchange a token': exchanged,
    'read a sensitive flag': read,
  };
}

async function countCalls(
  file: string,
  options: { counters: Counters; status: number; call: (place: number) => Promise<Reply> },
): Promise<WriteCount> {
  const { counters, status, call } = options;
  const own: number[] = [];
  const around: number[] = [];
  const evaluations: number[] = [];
  const stopBytes = countBytes(file);
  for (let place = 0; place < EACH; place += 1) {
    counters.statements.take();
    counters.evaluations.take();
    const reply = await call(place);
    if (reply.status !== status) throw new Error(`${reply.status}: ${JSON.stringify(reply.body)}`);
    // The first one finds nothing remembered.
    if (place === 0) continue;
    const texts = counters.statements.take();
    const ownCount = sumOf(countsOfWrites(texts));
    own.push(ownCount);
    around.push(texts.length - ownCount);
    evaluations.push(counters.evaluations.take());
  }
  const bytes = bytesOfEach(stopBytes());
  return {
    statements: median(own),
    around: median(around),
    evaluations: median(evaluations),
    ...bytes,
  };
}

/** Toggles that share a batch. The statements are those of each but the first. */
async function countTogether(t: TestBroker, counters: Counters): Promise<WriteCount> {
  const stopBytes = countBytes(t.file);
  counters.statements.take();
  counters.evaluations.take();
  await toggleTogether(t);
  const bytes = bytesOfEach(stopBytes());
  const texts = counters.statements.take();
  const own = countsOfWrites(texts);
  return {
    statements: median(own),
    around: Math.round((texts.length - sumOf(own)) / EACH),
    evaluations: Math.round(counters.evaluations.take() / EACH),
    ...bytes,
  };
}

function bytesOfEach({ writtenBytes, keptBytes, keptIn }: Bytes): Bytes {
  return {
    writtenBytes: Math.round(writtenBytes / EACH),
    keptBytes: Math.round(keptBytes / EACH),
    keptIn: new Map([...keptIn].map(([name, bytes]) => [name, Math.round(bytes / EACH)])),
  };
}

/** Toggles the flags off, with calls that wait for one write and are the next batch. @throws Error unless all are applied */
export async function toggleTogether(t: TestBroker): Promise<void> {
  let arrived = 0;
  const note = () => {
    arrived += 1;
  };
  subscribe(ARRIVALS, note);
  const held = Promise.withResolvers<void>();
  const holding = t.broker.store.writer.write(() => held.promise);
  const replies = Array.from({ length: EACH }, (_, place) => propose(t, toggleOf(place, 'disable')));
  while (arrived < EACH) await setImmediate();
  // Each of them has still to be read and to be known.
  for (let turn = 0; turn < TURNS_TO_ARRIVE; turn += 1) await setImmediate();
  held.resolve();
  for (const { status, body } of await Promise.all([...replies])) {
    if (status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`);
  }
  await holding;
  unsubscribe(ARRIVALS, note);
}

/** Where Node tells of each request that its servers get. */
const ARRIVALS = 'http.server.request.start';
const TURNS_TO_ARRIVE = 200;

/** The middle one: what has to be waited for can be asked for more than once, so single ones may take more. */
function median(counts: readonly number[]): number {
  return counts.toSorted((one, other) => one - other)[Math.floor(counts.length / 2)] ?? Number.NaN;
}

/** How many statements there are from each savepoint to where it is released. */
function countsOfWrites(texts: readonly string[]): number[] {
  const counts: number[] = [];
  let isOwn = false;
  for (const text of texts) {
    if (text.startsWith('savepoint ')) {
      isOwn = true;
      counts.push(0);
    }
    if (isOwn) counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
    if (text.startsWith('release savepoint ')) isOwn = false;
  }
  return counts;
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

interface EvaluationCount {
  /** How many there were since the last call. */
  take(): number;
  stop(): void;
}

interface WasmInstance {
  exports: { opa_eval: (...values: unknown[]) => number };
}

/** The part of the global `WebAssembly` by which policies are loaded. */
const wasm = (
  globalThis as unknown as { WebAssembly: { instantiate: (...given: unknown[]) => Promise<object> } }
).WebAssembly;

/** Counts the evaluations of policies that are loaded from now on, in this thread. */
function countEvaluations(): EvaluationCount {
  const original = wasm.instantiate;
  let count = 0;
  const counting = ({ exports }: WasmInstance): WasmInstance => {
    const { opa_eval: evaluate } = exports;
    const counted = (...values: unknown[]) => {
      count += 1;
      return evaluate(...values);
    };
    return { exports: { ...exports, opa_eval: counted } };
  };
  wasm.instantiate = async (...given) => {
    const loaded = await original(...given);
    // Of bytes there is a module beside the instance.
    if ('instance' in loaded) return { ...loaded, instance: counting(loaded.instance as WasmInstance) };
    return counting(loaded as WasmInstance);
  };
  return {
    take: () => {
      const taken = count;
      count = 0;
      return taken;
    },
    stop: () => {
      wasm.instantiate = original;
    },
  };
}

/** Creates the flags that are toggled, and those that are shown to somebody. */
export async function createFlags(t: TestBroker): Promise<void> {
  const places = Array.from({ length: EACH }, (_, place) => place);
  const audience = { kind: 'some', organizations: ['acme'], users: [] };
  await applied(
    t,
    places.map((place) => creation(`${TOGGLED}-${place}`, 'informational')),
  );
  await applied(
    t,
    places.map((place) => creation(`${SHOWN}-${place}`, 'operational')),
  );
  // Shown to one organization and on: then showing it to another one takes an approval.
  await applied(
    t,
    places.map((place) => ({ action: 'set_audience', flag: `${SHOWN}-${place}`, audience })),
  );
  await applied(
    t,
    places.map((place) => ({ action: 'enable', flag: `${SHOWN}-${place}` })),
  );
}

async function applied(t: TestBroker, changes: readonly object[]): Promise<void> {
  const proposed = await t.call('dana', 'POST', '/v1/requests', contentOf(changes));
  if (proposed.body.state === 'applied') return;
  const { id, digest } = proposed.body;
  const approved = await t.call('alex', 'POST', `/v1/requests/${id}/approve`, { digest });
  if (approved.body.state !== 'applied') throw new Error(JSON.stringify(approved.body));
}

/** Proposes. */
export function propose(
  t: TestBroker,
  content: object,
  headers: Record<string, string> = {},
): Promise<Reply> {
  return t.call('dana', 'POST', '/v1/requests', content, headers);
}

/** A change that is applied at once. */
export function toggleOf(place: number, action: 'enable' | 'disable'): object {
  return contentOf([{ action, flag: `${TOGGLED}-${place}` }]);
}

/** A change that is held for an approval, and is applied by a call of its own. */
export function audienceOf(place: number, organization: string): object {
  const audience = { kind: 'some', organizations: [organization], users: [] };
  return { ...contentOf([{ action: 'set_audience', flag: `${SHOWN}-${place}`, audience }]), apply: 'manual' };
}

function contentOf(changes: readonly object[]): object {
  return { environment: 'production', changes, reason: 'Counted' };
}

function creation(flag: string, tier: 'informational' | 'operational'): object {
  const definition = {
    namespace: 'payments',
    kind: 'release',
    tier,
    owner: 'payments',
    purpose: 'A flag whose writes are counted',
    variants: { on: true, off: false },
    retirement: 'When they are counted',
  };
  return { action: 'create', flag, definition };
}
