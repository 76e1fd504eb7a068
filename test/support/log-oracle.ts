import { createHash } from 'node:crypto';
import { type Holder, holderOfEntry, startRevocationOracle } from './revocation-oracle.ts';
import { findUnsafe } from './safety-oracle.ts';
import { readLeaves, readTree } from './sqlite/log.ts';
import { type RecordRow, readRecords, readStore, type StoreRows } from './sqlite/rows.ts';
import { tileHashes, treeHash } from './tree-oracle.ts';
import type { WireChange, WireFreeze, WireInput, WireRecord, WireResult, WireState } from './wire.ts';

/*
 * A judge of the log that uses none of the code that it judges: it reads the file by itself, and knows the design's
 * rules in its own words.
 */

/** One record of the log with the input and result of its decision. */
export interface LogEntry extends WireRecord {
  place: number;
  input_json: string;
  input: WireInput;
  result: WireResult;
}

const FINAL = new Set(['applied', 'rejected', 'withdrawn', 'expired', 'conflicted']);

/** The whole log of a broker's file, oldest first. */
export function readLog(file: string): LogEntry[] {
  return readRecords(file).flatMap(toEntry);
}

/** A record without its decision is none that can be read. */
function toEntry({ place, record, input, result }: RecordRow): LogEntry[] {
  if (input === null || result === null) return [];
  return [
    {
      ...(JSON.parse(record) as WireRecord),
      place,
      input_json: input,
      input: JSON.parse(input) as WireInput,
      result: JSON.parse(result) as WireResult,
    },
  ];
}

/**
 * Reads the log in its order and says what in it, or in the tables beside it, no sequential run of the design's rules
 * could have left behind. An empty list means that the log explains everything.
 */
export async function findContradictions(file: string): Promise<string[]> {
  const rows = readStore(file);
  const log = rows.records.flatMap(toEntry);
  return [
    ...(rows.records.length === log.length ? [] : ['a record without its decision']),
    ...log.flatMap((entry, index) =>
      entry.place === index + 1 ? [] : [`place ${entry.place} at ${index + 1}`],
    ),
    ...log.flatMap(digestFaults),
    ...readLeaves(file).flatMap(({ place, leaf }) =>
      leaf === canonical(JSON.parse(leaf)) ? [] : [`the leaf at ${place} is not canonical`],
    ),
    ...treeFaults(file),
    ...requestFaults(rows, log),
    ...versionFaults(rows, log),
    ...(await approvalFaults(rows, log)),
    ...safetyFaults(rows, log),
  ];
}

/** Canonical JSON of what leaves hold: sorted members, no white space. RFC 8785 */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}

/** The tree is that of the leaves: its root, its right edge, and every complete tile. */
function treeFaults(file: string): string[] {
  const { leaves: rows, head, tiles } = readTree(file);
  const leaves = rows.map(({ leaf }) => Buffer.from(leaf));
  const complete = (level: number) => Math.floor(leaves.length / 256 ** (level + 1));
  const expected = [0, 1, 2].flatMap((level) =>
    Array.from({ length: complete(level) }, (_, tile) => ({ level, tile })),
  );
  return [
    ...(head.size === leaves.length
      ? []
      : [`the head counts ${head.size} leaves, there are ${leaves.length}`]),
    ...(head.root === treeHash(leaves).toString('base64')
      ? []
      : ['the head has another root than its leaves']),
    ...(head.frontier === edgeOf(leaves) ? [] : ['the head has another right edge than its leaves']),
    ...(tiles.length === expected.length
      ? []
      : [`${tiles.length} tiles stored, ${expected.length} complete`]),
    ...expected.flatMap(({ level, tile }) => {
      const stored = tiles.find((row) => row.level === level && row.tile === tile);
      const span = leaves.slice(tile * 256 ** (level + 1), (tile + 1) * 256 ** (level + 1));
      const isRight =
        stored?.hashes.equals(Buffer.concat(tileHashes(level, tile, leaves))) === true &&
        stored.root.equals(treeHash(span));
      return isRight ? [] : [`tile ${tile} of level ${level} is not that of its leaves`];
    }),
  ];
}

/** The roots of the subtrees that a tree consists of: one for each 1 of its size in binary, largest first. */
function edgeOf(leaves: readonly Buffer[]): string {
  const roots: Buffer[] = [];
  let from = 0;
  for (let span = 2 ** 30; span >= 1; span /= 2) {
    if (from + span > leaves.length) continue;
    roots.push(treeHash(leaves.slice(from, from + span)));
    from += span;
  }
  return Buffer.concat(roots).toString('base64');
}

function digestFaults({ place, input_digest, input_json }: LogEntry): string[] {
  const digest = createHash('sha256').update(input_json).digest('hex');
  return input_digest === `sha256:${digest}` ? [] : [`${place}: another input than recorded`];
}

/** The transitions of each request are one chain that ends in its stored state. */
function requestFaults({ requests }: StoreRows, log: readonly LogEntry[]): string[] {
  const faults: string[] = [];
  const states = new Map<string, string>();
  for (const { place, request, operation, outcome, result } of log) {
    if (request === null) continue;
    const before = states.get(request.id) ?? null;
    const isKept = result.effect !== 'deny' && outcome.note?.code !== 'expires_before_start';
    if (request.from !== before)
      faults.push(`${place}: ${request.id} goes from ${request.from}, but is ${before}`);
    if (before !== null && FINAL.has(before)) faults.push(`${place}: ${operation} leaves ${before}`);
    if (request.from !== null || isKept) states.set(request.id, request.to);
  }
  for (const { id, state } of requests) {
    if (states.get(id) !== state) faults.push(`${id} is ${state}, the log says ${states.get(id)}`);
    states.delete(id);
  }
  return [...faults, ...[...states.keys()].map((id) => `the log has ${id}, the store has not`)];
}

/** The moves in the log are the versions in the store: each once, by one, in order, under the id of its decision. */
function versionFaults(rows: StoreRows, log: readonly LogEntry[]): string[] {
  const faults: string[] = [];
  const versions = new Map<string, number>();
  const written = new Set<string>();
  for (const { place, id, flags, request } of log) {
    for (const { flag, environment, version_before, version_after } of flags) {
      if (version_after === version_before) continue;
      const key = `${flag} in ${environment}`;
      if (request?.to !== 'applied') faults.push(`${place}: ${key} moved without being applied`);
      if (version_before !== (versions.get(key) ?? 0))
        faults.push(`${place}: ${key} was not at ${version_before}`);
      if (version_after !== version_before + 1) faults.push(`${place}: ${key} moved by more than one`);
      versions.set(key, version_after);
      written.add(`${key} ${version_after} ${id}`);
    }
  }
  const stored = rows.versions.map(
    ({ flag, environment, version, decision_id }) => `${flag} in ${environment} ${version} ${decision_id}`,
  );
  if (stored.length !== written.size)
    faults.push(`${stored.length} versions stored, ${written.size} in the log`);
  faults.push(
    ...stored.filter((version) => !written.has(version)).map((version) => `not in the log: ${version}`),
  );
  return [...faults, ...foldFaults(rows)];
}

/** The present documents are the newest versions. */
function foldFaults({ present }: StoreRows): string[] {
  return present
    .filter(({ document, newest }) => document !== newest)
    .map(({ flag }) => `${flag} is not what its newest version says`);
}

/**
 * What an apply counted as approvals is what the log holds before it: newest vote, this digest, no author, and not void
 * since. Who is revoked does nothing, and what they wrote waits.
 */
async function approvalFaults(rows: StoreRows, log: readonly LogEntry[]): Promise<string[]> {
  const faults: string[] = [];
  const votes = new Map<string, Map<string, Vote>>();
  const oracle = await startRevocationOracle(rows, log);
  for (const entry of log) {
    // No policy decided these, so their records have no input of it.
    if (['policy.activate', 'denials.counted', 'snapshot.publish'].includes(entry.operation)) continue;
    faults.push(...oracle.faultsOf(entry));
    const isVoid = oracle.take(entry);
    for (const said of votes.values())
      for (const [person, vote] of said) if (isVoid(vote.by)) said.delete(person);
    const { place, operation, request, input, result } = entry;
    if (request === null || input.request === null) continue;
    const said = votes.get(request.id) ?? new Map<string, Vote>();
    votes.set(request.id, said);
    if (request.to === 'applied' && result.effect !== 'allow')
      faults.push(`${place}: applied on ${result.effect}`);
    if ((operation === 'request.approve' || operation === 'request.reject') && result.effect === 'allow') {
      const { person, kind } = input.principal;
      if (person === null || kind !== 'person') faults.push(`${place}: a vote without a person`);
      const { authors, proposer } = input.request;
      const writers = [...authors, ...(proposer.person === null ? [] : [proposer.person])].map(
        oracle.personOf,
      );
      if (person !== null && writers.includes(oracle.personOf(person)))
        faults.push(`${place}: an author's vote`);
      said.set(person ?? '', { digest: request.digest, verdict: operation, by: holderOfEntry(entry) });
    }
    if (request.to !== 'applied') continue;
    const given = [...said]
      .filter(([, vote]) => vote.digest === request.digest && vote.verdict === 'request.approve')
      .map(([person]) => person);
    const counted = input.approvals.map((vote) => vote.principal.person);
    if (counted.toSorted().join() !== given.toSorted().join())
      faults.push(`${place}: counted ${counted}, given ${given}`);
  }
  return faults;
}

interface Vote {
  digest: string;
  verdict: string;
  by: Holder;
}

/**
 * While a freeze covers a change, and in a break-glass session, only what makes things safer is applied. Freezes are told
 * apart by their incident.
 */
function safetyFaults(rows: StoreRows, log: readonly LogEntry[]): string[] {
  const faults: string[] = [];
  const active = new Map<string, WireFreeze>();
  const safeVariants = new Map<string, string>();
  for (const { place, id, operation, request, input, result, flags } of log) {
    if (operation === 'freeze.engage' && result.effect === 'allow' && input.emergency.engage !== null) {
      active.set(input.emergency.engage.incident, input.emergency.engage);
    }
    if (request?.to !== 'applied' || input.request === null) continue;
    const { object = null, freeze = null } = input.request;
    const lifted = object?.type === 'freeze' ? object : freeze;
    if (lifted !== null) active.delete(lifted.incident);
    for (const change of input.request.changes) {
      const environment = input.environment?.key ?? null;
      const isCovered = [...active.values()].some((freeze) => covers(freeze, change, environment));
      if (!isCovered && operation !== 'breakglass.apply') continue;
      if (!isSafer(change, safeVariants.get(change.flag.key), input.clock.now_ms))
        faults.push(`${place}: ${change.action} of ${change.flag.key} under a freeze or with break-glass`);
    }
    for (const { flag, environment, version_after } of flags) {
      if (environment !== null) continue;
      const written = rows.versions.find(
        (row) => row.flag === flag && row.environment === null && row.version === version_after,
      );
      if (written?.decision_id === id) safeVariants.set(flag, JSON.parse(written.document).safe_variant);
    }
  }
  return faults;
}

function isSafer(
  { facts, before, after }: WireChange,
  safeVariant: string | undefined,
  nowMs: number,
): boolean {
  if (facts.scope !== 'state' || safeVariant === undefined) return false;
  return findUnsafe(before as WireState, after as WireState, safeVariant, nowMs).length === 0;
}

/** Each place that a freeze names has to be the change's; a change of a definition is in every environment. */
function covers(freeze: WireFreeze, { flag, facts }: WireChange, environment: string | null): boolean {
  const fits = (named: string | null, found: string | null) => named === null || named === found;
  const isThere = facts.scope === 'definition' || fits(freeze.environment, environment);
  return isThere && fits(freeze.namespace, flag.namespace) && fits(freeze.flag, flag.key);
}
