import { join } from 'node:path';
import type { Snapshot } from '../data/snapshot.ts';
import type { ReadersClaims } from '../snapshot/readers.ts';
import type { NoteVerifier } from '../tree/note.ts';
import type { BodyReader } from './body-thread.ts';
import type { RelayFaultCode } from './fault.ts';
import { createFaultBook } from './fault-book.ts';
import type { StreamSource } from './follow.ts';
import { type Follower, follow, latestFile, readersFile } from './follow.ts';
import { createHeldReaders } from './held-readers.ts';
import { createHeldSnapshot } from './held-snapshot.ts';
import { keptFiles } from './kept-files.ts';
import type { Pace, Random } from './pace.ts';
import { createReports, type Reports, type ReportTarget } from './reports.ts';
import type { Source } from './source.ts';
import type { StalenessPolicy } from './staleness.ts';
import type { EnvironmentStatus } from './status.ts';

/** What the operator can change while a relay runs. */
export interface RelaySettings {
  /** The keys of the log that are known. */
  keys: readonly NoteVerifier[];
  staleness: StalenessPolicy;
}

/** One environment of a relay. */
export interface RelayEnvironment {
  name: string;
  served(): Snapshot | undefined;
  /** Whether flags are served, to whomever may read them. */
  isReady(): boolean;
  status(): EnvironmentStatus;
  /** Null for a published place, which nobody can report to. */
  reports: Reports | null;
  /** Begins to follow, after what was kept on disk is taken up. */
  start(signal: AbortSignal): Promise<void>;
  /** Asks at once: what was refused may be accepted now. */
  pollNow(): void;
  /** Resolves when everything has ended. */
  done(): Promise<void>;
}

/** What {@link createEnvironment} needs. */
export interface EnvironmentDeps {
  name: string;
  relay: string;
  /** The state folder. */
  folder: string;
  source: Source;
  stream: StreamSource | null;
  reportTo: ReportTarget | null;
  settings: () => RelaySettings;
  /** Takes over a list of readers; null: who reads is known otherwise. */
  takeReaders: ((claims: ReadersClaims) => void) | null;
  bodies: Pick<BodyReader, 'read'>;
  pace: Pace;
  random: Random;
  clock: () => number;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  faulted: (code: RelayFaultCode) => void;
  /** Another version is served so long after its pointer was signed. */
  adopted: (seconds: number) => void;
}

/** Creates one that serves nothing yet. */
export function createEnvironment(deps: EnvironmentDeps): RelayEnvironment {
  const { name, relay, source, stream, reportTo, settings, pace, random, clock, log } = deps;
  const faults = createFaultBook({ environment: name, clock, log, count: deps.faulted });
  let follower: Follower | null = null;
  let reports: Reports | null = null;
  let connection: EnvironmentStatus['connection'] = {
    state: 'unreachable',
    since_ms: clock(),
    reached_ms: null,
  };
  let ending = new AbortController().signal;

  const kept = keptFiles(join(deps.folder, name));
  const readers =
    deps.takeReaders === null
      ? null
      : createHeldReaders({
          environment: name,
          keys: () => settings().keys,
          take: deps.takeReaders,
          ...{ kept, faults, clock, log },
        });
  const held = createHeldSnapshot({
    environment: name,
    keys: () => settings().keys,
    staleness: () => settings().staleness,
    kept,
    bodies: deps.bodies,
    readBody: async (file, maxBytes) =>
      (await source.read(`${name}/${file}`, { maxBytes, signal: ending }))?.bytes ?? null,
    faults,
    clock,
    log,
    adopted: ({ iat }) => {
      deps.adopted(clock() / 1000 - iat);
      reports?.changed();
    },
  });

  function isReady(): boolean {
    return held.pointer() !== null && readers?.claims() !== null;
  }

  function readersStatus(): EnvironmentStatus['readers'] {
    const claims = readers?.claims() ?? null;
    if (claims === null) return null;
    const { sequence, iat, exp } = claims;
    return { sequence, signed_ms: iat * 1000, expires_ms: exp * 1000 };
  }

  function setConnection(state: (typeof connection)['state']): void {
    if (connection.state !== state) connection = { ...connection, state, since_ms: clock() };
  }

  return {
    name,
    get reports() {
      return reports;
    },
    served: held.served,
    isReady,
    status: () => {
      const pointer = held.pointer();
      const nowMs = clock();
      const staleSinceMs = pointer !== null && pointer.exp * 1000 <= nowMs ? pointer.exp * 1000 : null;
      const policyFromMs = pointer === null ? null : pointer.exp * 1000 + settings().staleness.maxMs;
      return {
        state: !isReady() ? 'waiting' : staleSinceMs === null ? 'fresh' : 'stale',
        version: pointer?.version ?? null,
        digest: pointer?.digest ?? null,
        epoch: pointer?.epoch ?? null,
        signed_ms: pointer === null ? null : pointer.iat * 1000,
        age_ms: pointer === null ? null : Math.max(0, nowMs - pointer.iat * 1000),
        stale_since_ms: staleSinceMs,
        staleness_applied: policyFromMs !== null && nowMs >= policyFromMs,
        adopted_ms: held.adoptedMs(),
        readers: readersStatus(),
        epoch_change: held.epochChange(),
        connection,
        reports:
          reports === null ? null : { accepted_ms: reports.acceptedMs(), waiting: reports.tally.waiting() },
        faults: faults.present(),
        last_fault: faults.last(),
      };
    },
    start: async (signal) => {
      ending = signal;
      await readers?.restore();
      await held.restore();
      if (reportTo !== null) {
        const served = () => {
          const pointer = held.pointer();
          if (pointer === null) return null;
          return {
            version: pointer.version,
            digest: pointer.digest,
            served_ms: held.adoptedMs() ?? clock(),
          };
        };
        reports = createReports({ relay, target: reportTo, served, pace, random, clock, faults }, signal);
      }
      follower = follow(
        {
          environment: name,
          ...{ source, stream, pace, random, faults },
          files: [...(readers === null ? [] : [readersFile(readers.offer)]), latestFile(held.offer)],
          connected: (isAlive) => setConnection(isAlive ? 'streaming' : 'polling'),
          reached: (isThere) => {
            if (isThere) connection = { ...connection, reached_ms: clock() };
            if (connection.state !== 'streaming') setConnection(isThere ? 'polling' : 'unreachable');
          },
          tick: async () => {
            await held.keepAgain();
            await readers?.keepAgain();
          },
        },
        signal,
      );
    },
    pollNow: () => follower?.pollNow(),
    done: async () => {
      await Promise.all([follower?.done, reports?.done]);
      await Promise.all([held.done(), readers?.done()]);
    },
  };
}
