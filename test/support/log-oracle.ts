import { isCovered } from '../../src/emergency/state.ts';
import { sha256Hex } from '../../src/json.ts';
import type { FlagMove } from '../../src/log/append.ts';
import type { PolicyResult } from '../../src/policy/decision.ts';
import type { InputFreeze, PolicyInput } from '../../src/policy/input.ts';
import type { Db } from '../../src/store/statement.ts';
import { type Holder, holderOfEntry, type RecordedBy, startRevocationOracle } from './revocation-oracle.ts';

/** One record of the log with the input and result of its decision. */
export interface LogEntry extends RecordedBy {
  seq: number;
  id: string;
  operation: string;
  policy_hash: string;
  request: { id: string; digest: string; from: string | null; to: string } | null;
  flags: FlagMove[];
  input_json: string;
  input: PolicyInput;
  result: PolicyResult;
}

const FINAL = new Set(['applied', 'rejected', 'withdrawn', 'expired', 'conflicted']);

/** The whole log, oldest first. */
export async function readLog(db: Db): Promise<LogEntry[]> {
  const rows = await db
    .selectFrom('record_details')
    .select(['place as seq', 'details', 'input', 'result'])
    .orderBy('place')
    .execute();
  return rows.map(({ seq, details, input, result }) => ({
    ...(JSON.parse(details) as Omit<LogEntry, 'seq' | 'input' | 'result' | 'input_json'>),
    seq,
    input_json: input,
    input: JSON.parse(input) as PolicyInput,
    result: JSON.parse(result) as PolicyResult,
  }));
}

/**
 * Reads the log in its order and says what in it, or in the tables beside it, no sequential run of the design's rules
 * could have left behind. An empty list means that the log explains everything.
 */
export async function findContradictions(db: Db): Promise<string[]> {
  const log = await readLog(db);
  const count = await db
    .selectFrom('leaves')
    .select((e) => e.fn.countAll().as('count'))
    .executeTakeFirstOrThrow();
  return [
    ...(Number(count.count) === log.length ? [] : ['a leaf without its details']),
    ...log.flatMap((entry, place) =>
      entry.seq === place + 1 ? [] : [`seq ${entry.seq} at place ${place + 1}`],
    ),
    ...log.flatMap(digestFaults),
    ...(await requestFaults(db, log)),
    ...(await versionFaults(db, log)),
    ...(await approvalFaults(db, log)),
    ...freezeFaults(log),
  ];
}

function digestFaults(entry: LogEntry): string[] {
  const { input_digest } = entry as unknown as { input_digest: string };
  return input_digest === `sha256:${sha256Hex(entry.input_json)}`
    ? []
    : [`${entry.seq}: another input than recorded`];
}

/** The transitions of each request are one chain that ends in its stored state. */
async function requestFaults(db: Db, log: readonly LogEntry[]): Promise<string[]> {
  const faults: string[] = [];
  const states = new Map<string, string>();
  for (const { seq, request, operation, result } of log) {
    if (request === null) continue;
    const before = states.get(request.id) ?? null;
    const isRefusedProposal = request.from === null && result.effect === 'deny';
    if (request.from !== before)
      faults.push(`${seq}: ${request.id} goes from ${request.from}, but is ${before}`);
    if (before !== null && FINAL.has(before)) faults.push(`${seq}: ${operation} leaves ${before}`);
    if (!isRefusedProposal) states.set(request.id, request.to);
  }
  const rows = await db.selectFrom('requests').select(['id', 'state']).execute();
  for (const { id, state } of rows) {
    if (states.get(id) !== state) faults.push(`${id} is ${state}, the log says ${states.get(id)}`);
    states.delete(id);
  }
  return [...faults, ...[...states.keys()].map((id) => `the log has ${id}, the store has not`)];
}

/** The moves in the log are the versions in the store: each once, by one, in order, under the id of its decision. */
async function versionFaults(db: Db, log: readonly LogEntry[]): Promise<string[]> {
  const faults: string[] = [];
  const versions = new Map<string, number>();
  const written = new Set<string>();
  for (const { seq, id, flags, request } of log) {
    for (const { flag, environment, version_before, version_after } of flags) {
      if (version_after === version_before) continue;
      const key = `${flag} in ${environment}`;
      if (request?.to !== 'applied') faults.push(`${seq}: ${key} moved without being applied`);
      if (version_before !== (versions.get(key) ?? 0))
        faults.push(`${seq}: ${key} was not at ${version_before}`);
      if (version_after !== version_before + 1) faults.push(`${seq}: ${key} moved by more than one`);
      versions.set(key, version_after);
      written.add(`${key} ${version_after} ${id}`);
    }
  }
  const definitions = await db.selectFrom('flag_versions').selectAll().execute();
  const states = await db.selectFrom('flag_state_versions').selectAll().execute();
  const stored = [
    ...definitions.map((row) => `${row.flag} in null ${row.version} ${row.decision_id}`),
    ...states.map((row) => `${row.flag} in ${row.environment} ${row.version} ${row.decision_id}`),
  ];
  if (stored.length !== written.size)
    faults.push(`${stored.length} versions stored, ${written.size} in the log`);
  faults.push(
    ...stored.filter((version) => !written.has(version)).map((version) => `not in the log: ${version}`),
  );
  return [...faults, ...(await foldFaults(db))];
}

/** The present documents are the newest versions. */
async function foldFaults(db: Db): Promise<string[]> {
  const flags = await db
    .selectFrom('flags')
    .leftJoin('flag_versions', (join) =>
      join.onRef('flag_versions.flag', '=', 'flags.key').onRef('flag_versions.version', '=', 'flags.version'),
    )
    .select(['flags.key', 'flags.definition as present', 'flag_versions.definition as newest'])
    .execute();
  const states = await db
    .selectFrom('flag_states')
    .leftJoin('flag_state_versions', (join) =>
      join
        .onRef('flag_state_versions.flag', '=', 'flag_states.flag')
        .onRef('flag_state_versions.environment', '=', 'flag_states.environment')
        .onRef('flag_state_versions.version', '=', 'flag_states.version'),
    )
    .select([
      'flag_states.flag as key',
      'flag_states.state as present',
      'flag_state_versions.state as newest',
    ])
    .execute();
  return [...flags, ...states]
    .filter(({ present, newest }) => present !== newest)
    .map(({ key }) => `${key} is not what its newest version says`);
}

/**
 * What an apply counted as approvals is what the log holds before it: newest word, this digest, no author, and not void
 * since. Who is revoked does nothing, and what they wrote waits.
 */
async function approvalFaults(db: Db, log: readonly LogEntry[]): Promise<string[]> {
  const faults: string[] = [];
  const words = new Map<string, Map<string, Word>>();
  const oracle = await startRevocationOracle(db, log);
  for (const entry of log) {
    // The first policy was decided by none, so that record has no input.
    if (entry.operation === 'policy.activate') continue;
    faults.push(...oracle.faultsOf(entry));
    const isVoid = oracle.take(entry);
    for (const said of words.values())
      for (const [person, word] of said) if (isVoid(word.by)) said.delete(person);
    const { seq, operation, request, input, result } = entry;
    if (request === null || input.request === null) continue;
    const said = words.get(request.id) ?? new Map<string, Word>();
    words.set(request.id, said);
    if (request.to === 'applied' && result.effect !== 'allow')
      faults.push(`${seq}: applied on ${result.effect}`);
    if ((operation === 'request.approve' || operation === 'request.reject') && result.effect === 'allow') {
      const { person, kind } = input.principal;
      if (person === null || kind !== 'person') faults.push(`${seq}: a word without a person`);
      const { authors, proposer } = input.request;
      const humans = [...authors, ...(proposer.person === null ? [] : [proposer.person])].map(oracle.human);
      if (person !== null && humans.includes(oracle.human(person))) faults.push(`${seq}: an author's word`);
      said.set(person ?? '', { digest: request.digest, verdict: operation, by: holderOfEntry(entry) });
    }
    if (request.to !== 'applied') continue;
    const given = [...said]
      .filter(([, word]) => word.digest === request.digest && word.verdict === 'request.approve')
      .map(([person]) => person);
    const counted = input.approvals.map((vote) => vote.principal.person);
    if (counted.toSorted().join() !== given.toSorted().join())
      faults.push(`${seq}: counted ${counted}, given ${given}`);
  }
  return faults;
}

interface Word {
  digest: string;
  verdict: string;
  by: Holder;
}

/** While a freeze covers a change, only what makes things safer is applied. Freezes are told apart by their incident. */
function freezeFaults(log: readonly LogEntry[]): string[] {
  const faults: string[] = [];
  const active = new Map<string, Omit<InputFreeze, 'id'>>();
  for (const { seq, operation, request, input, result } of log) {
    if (operation === 'freeze.engage' && result.effect === 'allow' && input.emergency.engage !== null) {
      active.set(input.emergency.engage.incident, input.emergency.engage);
    }
    if (request?.to !== 'applied' || input.request === null) continue;
    if (input.request.freeze !== null) active.delete(input.request.freeze.incident);
    for (const change of input.request.changes) {
      const covering = [...active.values()].filter((freeze) =>
        isCovered(freeze, change, input.environment?.key ?? null),
      );
      const safe = change.facts.scope === 'state' && ['off', 'narrow'].includes(change.facts.direction);
      if (covering.length > 0 && !safe)
        faults.push(`${seq}: ${change.action} of ${change.flag.key} under a freeze`);
    }
  }
  return faults;
}
