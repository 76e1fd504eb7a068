import type { Reply, TestBroker } from './broker.ts';
import { approve, creation, propose, TICKET } from './flags.ts';

/** A seeded source of numbers in [0, 1), so that a story can be told again (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const FLAGS = ['story-a', 'story-b', 'story-c', 'story-d'];
const TIERS = ['informational', 'operational', 'sensitive', 'high-risk'];
const EVERYBODY = [
  'dana',
  'dana-alt',
  'alex',
  'alex+mfa',
  'sam+mfa',
  'casey',
  'riley+mfa',
  'avery',
  'morgan',
];

/** Who tells what next, with what they know of the story so far. */
interface Telling {
  t: TestBroker;
  pick: <T>(list: readonly T[]) => T;
  requests: Reply['body'][];
  freezes: string[];
  sessions: string[];
  revocations: string[];
  next(): number;
}

/**
 * Plays a random but repeatable story over HTTP: everybody of the cast tries everything, allowed or not.
 *
 * @returns every answer, in order
 */
export async function playStory(
  t: TestBroker,
  { seed, steps }: { seed: number; steps: number },
): Promise<Reply[]> {
  const random = createRandom(seed);
  let told = 0;
  const telling: Telling = {
    t,
    pick: (list) => list[Math.floor(random() * list.length)] as (typeof list)[number],
    requests: [],
    freezes: [],
    sessions: [],
    revocations: [],
    next: () => {
      told += 1;
      return told;
    },
  };
  const replies: Reply[] = [];
  const job = await t.workloadToken();
  for (const [place, flag] of FLAGS.entries())
    replies.push(await create(telling, flag, TIERS[place] ?? 'operational'));
  for (let step = 0; step < steps; step += 1) {
    const who = telling.pick([...EVERYBODY, 'dana', 'dana', 'alex+mfa', 'sam+mfa', job]);
    replies.push(await telling.pick(MOVES)(telling, who));
    t.clock.advance(Math.floor(random() * 120_000));
    if (random() < 0.2) await t.broker.scheduler.tick();
  }
  return replies;
}

async function create(telling: Telling, flag: string, tier: string): Promise<Reply> {
  const reply = await propose(telling.t, [creation(flag, { tier })], { ticket: TICKET });
  for (const who of ['alex+mfa', 'sam+mfa']) await approve(telling.t, who, reply.body);
  return reply;
}

type Move = (telling: Telling, who: string) => Promise<Reply>;

const proposeSomething: Move = async (telling, who) => {
  const { t, pick, requests } = telling;
  const change = () => {
    const flag = pick(FLAGS);
    return pick([
      { action: 'enable', flag },
      { action: 'disable', flag },
      {
        action: 'set_audience',
        flag,
        audience: { kind: 'some', organizations: [pick(['acme', 'globex'])], users: [] },
      },
      { action: 'set_audience', flag, audience: { kind: 'all' } },
      { action: 'return_to_version', flag, version: 1 },
      { action: 'update', flag, set: { owner: pick(['team-a', 'team-b']) } },
      { action: 'update', flag, set: { tier: pick(TIERS) } },
    ]);
  };
  const reply = await propose(
    t,
    pick([[change()], [change(), change()]]),
    {
      environment: pick(['production', 'production', 'staging', 'development']),
      ...pick([{ ticket: TICKET }, {}]),
      ...pick([{}, {}, { apply: 'manual' }, { start_ms: t.clock() + 300_000 }]),
    },
    who,
  );
  if (reply.status === 201) requests.push(reply.body);
  return reply;
};

/** Says something about the newest requests most often, and about what is long closed now and then. */
function about({ pick, requests }: Telling): Reply['body'] {
  return pick([...requests.slice(-3), ...requests.slice(-3), ...requests]) ?? { id: 'none', digest: '' };
}

function onRequest(verb: string, body: (request: Reply['body']) => unknown, headers = {}): Move {
  return (telling, who) => {
    const request = about(telling);
    return telling.t.call(who, 'POST', `/v1/requests/${request.id}/${verb}`, body(request), headers);
  };
}

const word = ({ digest }: Reply['body']) => ({ digest });

const edit: Move = async (telling, who) => {
  const request = about(telling);
  const path = `/v1/requests/${request.id}`;
  const reply = await telling.t.call(
    who,
    'PATCH',
    path,
    { reason: `edit ${telling.next()}` },
    { 'If-Match': '*' },
  );
  if (reply.status === 200) telling.requests.push(reply.body);
  return reply;
};

const freeze: Move = async (telling, who) => {
  const order = telling.pick([
    { scope: 'flag', flag: telling.pick(FLAGS) },
    { scope: 'environment', environment: 'staging' },
    { scope: 'all' },
  ]);
  const incident = { incident: `INC-${telling.next()}`, reason: 'the story' };
  const reply = await telling.t.call(telling.pick([who, 'riley']), 'POST', '/v1/freezes', {
    ...order,
    ...incident,
  });
  if (reply.status === 201) telling.freezes.push(reply.body.id);
  return reply;
};

const lift: Move = async (telling, who) => {
  const { t, pick, freezes, requests } = telling;
  const body = {
    kind: 'freeze.lift',
    freeze: pick(freezes) ?? '00000000-0000-4000-8000-000000000000',
    reason: 'over',
  };
  const reply = await t.call(pick([who, 'riley', 'riley']), 'POST', '/v1/requests', body);
  if (reply.status !== 201) return reply;
  requests.push(reply.body);
  return approve(t, pick(['sam', 'alex']), reply.body);
};

const liftRevocation: Move = async ({ t, pick, revocations, requests }, who) => {
  const revocation = revocations.at(-1) ?? '00000000-0000-4000-8000-000000000000';
  const body = { kind: 'revocation.lift', revocation, reason: 'over' };
  const reply = await t.call(pick([who, 'riley', 'riley', 'riley']), 'POST', '/v1/requests', body);
  if (reply.status !== 201) return reply;
  requests.push(reply.body);
  const approved = await approve(t, 'sam', reply.body);
  if (approved.body.state === 'applied') revocations.pop();
  return approved;
};

const revoke: Move = async (telling, who) => {
  const { t, pick, revocations } = telling;
  // With many out at once nothing else would happen.
  if (revocations.length > 0) return liftRevocation(telling, who);
  const order = pick([
    { kind: 'subject', value: pick(['emp-1001', 'person:demo:dana']) },
    { kind: 'subject', value: pick(['emp-1002', 'emp-1004', 'person:demo:dana-alt']) },
    { kind: 'subject', value: 'emp-1001', issued_before: t.clock() },
    { kind: 'class', value: pick(['person', 'workload']) },
    { kind: 'trust_rule', value: 'payments-deploy' },
  ]);
  const incident = { incident: `INC-${telling.next()}`, reason: 'the story' };
  const reply = await t.call(pick([who, 'riley']), 'POST', '/v1/revocations', { ...order, ...incident });
  if (reply.status === 201) telling.revocations.push(reply.body.id);
  return reply;
};

const openSession: Move = async (telling, who) => {
  const body = { incident: `INC-${telling.next()}`, reason: 'the story' };
  const reply = await telling.t.call(telling.pick([who, 'riley+mfa']), 'POST', '/v1/break-glass', body);
  if (reply.status === 201) telling.sessions.push(reply.body.id);
  return reply;
};

const breakGlass: Move = (telling) => {
  const { t, pick, sessions } = telling;
  const action = pick(['enable', 'disable', 'disable', 'retire']);
  return t.call('riley', 'POST', `/v1/break-glass/${pick(sessions) ?? 'none'}/apply`, {
    environment: 'production',
    changes: [{ action, flag: pick(FLAGS) }],
  });
};

const read: Move = ({ t, pick }, who) =>
  t.call(
    who,
    'GET',
    pick([
      '/v1/decisions',
      '/v1/requests',
      '/v1/flags?environment=production&namespace=growth',
      '/v1/freezes',
    ]),
  );

/** Some stand here several times, so that the story gets somewhere. */
const MOVES: readonly Move[] = [
  proposeSomething,
  proposeSomething,
  proposeSomething,
  proposeSomething,
  onRequest('approve', word),
  onRequest('approve', word),
  onRequest('approve', word),
  onRequest('approve', word),
  onRequest('reject', word),
  (telling, who) => onRequest('withdraw', () => undefined)(telling, telling.pick([who, 'dana'])),
  onRequest('apply', () => undefined),
  onRequest('rebase', () => undefined, { 'If-Match': '*' }),
  onRequest('schedule', () => ({ at: 'next_window' }), { 'If-Match': '*' }),
  edit,
  freeze,
  lift,
  lift,
  revoke,
  liftRevocation,
  liftRevocation,
  openSession,
  breakGlass,
  read,
];
