import type { FlagDefinition } from '../../flags/model.ts';
import { initialStateOf } from '../../flags/plan.ts';
import { canonicalJson, digestOf } from '../../json.ts';
import { bodyFile, openBody, parseBodyFile, type SnapshotBody } from '../../snapshot/body.ts';
import { SnapshotFault } from '../../snapshot/fault.ts';
import { PUBLISHES } from '../../snapshot/latest.ts';
import { MeaningFault } from './fault.ts';
import type { Findings } from './findings.ts';
import type { LogRecord } from './leaf.ts';
import type { FlagsAt, Versions } from './versions.ts';

/*
 * Snapshots: what the records that publish them say together, and whether a published body is what the log says at the size that
 * it reflects.
 */

/** Follows what is published. */
export interface SnapshotChain {
  /** @throws MeaningFault */
  take(record: LogRecord): void;
  /** How many records publish a snapshot. */
  count(): number;
}

/** The snapshots of an environment go forward: in version, and in what they reflect. */
export function followSnapshots(): SnapshotChain {
  const newest = new Map<string, { version: number; size: number }>();
  let count = 0;
  return {
    take: (record) => {
      const { place, operation, snapshot, effect, follows } = record;
      // What a broker publishes after a confirmed restore may be the same version again.
      if (follows !== undefined) newest.clear();
      const fault = (message: string) => new MeaningFault('snapshot_chain', place, message);
      if (snapshot === undefined) {
        if (operation === PUBLISHES) throw fault('it publishes a snapshot without saying which');
        return;
      }
      const { environment, version, size } = snapshot;
      if (operation !== PUBLISHES || effect !== 'allow')
        throw fault(`it publishes a snapshot of ${environment} by ${operation}`);
      if (size >= place) throw fault(`it publishes a snapshot that reflects ${size} records`);
      const former = newest.get(environment);
      if (former !== undefined && (version <= former.version || size < former.size))
        throw fault(
          `it publishes version ${version} of ${environment} for ${size} records, after version ${former.version} for ${former.size}`,
        );
      newest.set(environment, { version, size });
      count += 1;
    },
    count: () => count,
  };
}

/** A place with published bodies, by environment and the name of the file. */
export interface PublishedBodies {
  /** The files that were there at first. */
  files: Iterable<{ environment: string; file: string }>;
  /** @returns null if there is no such file */
  read(environment: string, file: string): Promise<Buffer | null>;
}

/** Compares published bodies with a log. */
export interface SnapshotComparison {
  /** Compares the body that a record publishes, if it is there. @throws MeaningFault `snapshot_differs` */
  verify(record: LogRecord, versions: Pick<Versions, 'at'>, findings: Findings): Promise<void>;
  /** @throws MeaningFault `snapshot_differs` if a body is there that the log does not have */
  finish(findings: Findings, size: number): void;
  /** How many bodies were compared. */
  compared(): number;
}

/** Starts a comparison with a place. */
export function compareSnapshots({ files, read }: PublishedBodies): SnapshotComparison {
  const unknown = new Map([...files].map(({ environment, file }) => [`${environment}/${file}`, environment]));
  const newest = new Map<string, number>();
  let compared = 0;
  return {
    verify: async ({ place, snapshot }, versions, findings) => {
      if (snapshot === undefined) return;
      const { environment, version, size } = snapshot;
      newest.set(environment, version);
      const file = bodyFile(snapshot);
      unknown.delete(`${environment}/${file}`);
      const bytes = await read(environment, file);
      if (bytes === null) return;
      const flags = versions.at(size);
      if (flags === null) {
        findings.gap('snapshot_unsure', place);
        return;
      }
      const differs = (message: string) => new MeaningFault('snapshot_differs', place, message);
      if (!isSame(open(bytes, snapshot, differs), flags, { bytes, differs }))
        findings.gap('flag_absent', place);
      compared += 1;
    },
    finish: (findings, size) => {
      for (const [path, environment] of unknown) {
        const version = parseBodyFile(path.slice(environment.length + 1))?.version ?? 0;
        // What was published after the log was read.
        if (version > (newest.get(environment) ?? -1)) findings.gap('snapshot_ahead', size);
        else throw new MeaningFault('snapshot_differs', null, `${path} is published, and no record says so`);
      }
    },
    compared: () => compared,
  };
}

type Differs = (message: string) => MeaningFault;

function open(bytes: Buffer, snapshot: NonNullable<LogRecord['snapshot']>, differs: Differs): SnapshotBody {
  try {
    return openBody(bytes, snapshot);
  } catch (error) {
    throw error instanceof SnapshotFault ? differs(error.message) : error;
  }
}

/** @returns false if a flag is absent of which the log does not say that it is retired */
function isSame(
  body: SnapshotBody,
  { definitions, states }: FlagsAt,
  { bytes, differs }: { bytes: Buffer; differs: Differs },
): boolean {
  if (canonicalJson(body) !== bytes.toString('utf8')) throw differs('the body is not canonical JSON');
  const { environment } = body;
  const keys = new Set<string>();
  let last = '';
  for (const { definition, state, version } of body.flags) {
    const { key } = definition;
    if (keys.size > 0 && key <= last) throw differs(`the body has ${key} after ${last}`);
    last = key;
    keys.add(key);
    const said = definitions.get(key);
    if (said === undefined) throw differs(`the body has ${key}, and the log does not`);
    if (definition.retired || said.digest !== digestOf(definition))
      throw differs(`the body has another definition of ${key} than the log at version ${said.version}`);
    const known = states(key, environment);
    const expected = known?.digest ?? digestOf(initialStateOf(definition as FlagDefinition));
    if (version !== (known?.version ?? 0) || digestOf(state) !== expected)
      throw differs(
        `the body has ${key} at version ${version}, with another state than the log at version ${known?.version ?? 0}`,
      );
  }
  let isComplete = true;
  for (const [key, { retired }] of definitions) {
    if (keys.has(key)) {
      if (retired) throw differs(`the body has ${key}, which is retired`);
    } else if (!retired) isComplete = false;
  }
  return isComplete;
}
