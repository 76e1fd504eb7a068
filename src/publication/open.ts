import type { ControlDeps } from '../decide/control.ts';
import type { Checkpoints } from '../log/checkpoints.ts';
import type { Logger } from '../logger.ts';
import { DAY_MS } from '../moment.ts';
import type { NoteSigner } from '../tree/note.ts';
import { createDelays, type Delays } from './delays.ts';
import { createPreparation } from './prepare.ts';
import { publishSnapshot } from './publish.ts';
import { openPublished, type Published } from './published.ts';
import { createPublisher, type Publisher } from './publisher.ts';

/** What is published of an environment, and replaced. */
export type PublishedKind = 'latest' | 'readers';

/** The publication of snapshots. */
export interface Publication {
  publisher: Publisher;
  published: Published;
  delays: Delays;
  /** What is published of this kind may have changed: whoever follows is told. */
  changed(what: PublishedKind): void;
  /** What is published of each environment, for metrics. */
  report(): Promise<{ environment: string; version: number; digest: string; behindMs: number }[]>;
  /** Calls a function at each such change. */
  onChange(listener: (what: PublishedKind) => void): void;
  /** How long a list of readers is valid. */
  readersLifeMs: number;
  /** The environments that are published, as the active policy has them. */
  environments(): readonly string[];
  /** Whether snapshots of an environment are published at all. */
  isPublished(environment: string): boolean;
}

/** Opens it. Nothing is published unless the configuration names an environment. */
export function openPublication(deps: {
  control: ControlDeps;
  checkpoints: Checkpoints;
  /** The keys of the log that sign now, the newest first. */
  signers: () => Promise<[NoteSigner, ...NoteSigner[]]>;
  /** The environments of the active policy. */
  environments: () => readonly string[];
  config: { environments: readonly string[]; pointer_seconds: number; readers_days: number };
  /** Told how long after the commit a version was published. */
  publishedAfter: (seconds: number) => void;
  log: Logger;
}): Publication {
  const { control, checkpoints, signers, config, log } = deps;
  const { clock } = control;
  const { read, isScheduler } = control.store;
  const named = new Set(config.environments);
  const isNamed = (environment: string) => named.has('*') || named.has(environment);
  const environments = () => deps.environments().filter(isNamed);
  const present = deps.environments();
  const unknown = config.environments.filter((name) => name !== '*' && !present.includes(name));
  if (unknown.length > 0)
    log.warn({ environments: unknown }, 'snapshots.environments names what the active policy does not have');
  const delays = createDelays({ read, environments, clock, log });
  /** When each environment changed first since it was published last, on a clock that nobody sets. */
  const changedMs = new Map<string, number>();
  const listeners: ((what: PublishedKind) => void)[] = [];
  const changed = (what: PublishedKind) => {
    for (const listener of listeners) listener(what);
  };
  const publisher = createPublisher({
    ...{ delays, environments, isScheduler, clock, log },
    prepare: createPreparation(read),
    publish: async (prepared) => {
      const sinceMs = changedMs.get(prepared.environment);
      changedMs.delete(prepared.environment);
      const isPublished = await publishSnapshot(control, prepared);
      if (isPublished && sinceMs !== undefined) deps.publishedAfter((performance.now() - sinceMs) / 1000);
      changed('latest');
      return isPublished;
    },
  });
  return {
    delays,
    changed,
    report: async () => {
      const nowMs = clock();
      const states = environments().map(async (environment) => {
        const { row, sinceMs } = await delays.look(environment);
        const behindMs = sinceMs === null ? 0 : Math.max(0, nowMs - sinceMs);
        if (row === null) return [];
        const { version, digest } = row;
        return [{ environment, version, digest, behindMs }];
      });
      return (await Promise.all(states)).flat();
    },
    onChange: (listener) => {
      listeners.push(listener);
    },
    readersLifeMs: config.readers_days * DAY_MS,
    publisher: {
      ...publisher,
      changed: (environment) => {
        if (isNamed(environment) && !changedMs.has(environment))
          changedMs.set(environment, performance.now());
        publisher.changed(environment);
      },
    },
    published: openPublished({
      ...{ read, delays, checkpoints, signers, clock },
      lifeMs: config.pointer_seconds * 1000,
    }),
    environments,
    isPublished: (environment) => environments().includes(environment),
  };
}
