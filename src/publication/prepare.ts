import { setImmediate } from 'node:timers/promises';
import type { FlagDefinition } from '../flags/model.ts';
import { initialStateOf } from '../flags/plan.ts';
import { canonicalJson } from '../json.ts';
import { bodyDigest, formatBody, MAX_BODY_BYTES } from '../snapshot/body.ts';
import { environmentVersion, type FlagRow, listFlags } from '../store/flags.ts';
import { readHead } from '../store/log-head.ts';
import type { Db } from '../store/statement.ts';

/*
 * Publishing snapshots: after a commit, the flags of an environment become a body, a record with its digest, and a pointer that
 * is signed again and again. `snapshot/` has the form, and verifies it.
 */

/** After so many flags, other work goes on: this runs on the loop that answers evaluations. */
const FLAGS_AT_ONCE = 100;

/** A snapshot that can be published. */
export interface PreparedSnapshot {
  environment: string;
  epoch: number;
  version: number;
  /** The size of the log that it reflects. */
  size: number;
  digest: string;
  body: string;
}

/** What one flag adds to the body, and the texts that it was made of. */
interface Part {
  definition: string;
  state: string | null;
  version: number | null;
  /** Null for a retired flag: a reader must not distinguish it from an unknown one. */
  text: string | null;
}

/**
 * Prepares snapshots on what reads see, which is committed and durable. Only flags that have changed since the last one of an
 * environment are written out again.
 *
 * @param options.maxBytes no reader takes a larger body; the preparation of one fails
 */
export function createPreparation(
  read: Db,
  { maxBytes = MAX_BODY_BYTES }: { maxBytes?: number } = {},
): (environment: string) => Promise<PreparedSnapshot> {
  const partsOf = new Map<string, Map<string, Part>>();

  return async (environment) => {
    // One read transaction: the flags, their version and the size of the log belong together.
    const { head, version, rows } = await read.transaction().execute(async (db) => ({
      head: await readHead(db),
      version: await environmentVersion(db, environment),
      rows: await listFlags(db, environment),
    }));
    const former = partsOf.get(environment);
    const parts = new Map<string, Part>();
    for (const row of rows) {
      parts.set(row.key, reuse(former?.get(row.key), row));
      if (parts.size % FLAGS_AT_ONCE === 0) await setImmediate();
    }
    partsOf.set(environment, parts);
    const texts = [...parts]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([, { text }]) => text ?? []);
    await setImmediate();
    const body = formatBody(environment, version, texts);
    const bytes = Buffer.byteLength(body);
    if (bytes > maxBytes)
      throw new Error(
        `the snapshot of ${environment} would have ${bytes} bytes, and readers take ${maxBytes} at most; retire flags, or make their targeting smaller`,
      );
    const { epoch, size } = head;
    return { environment, epoch, version, size, digest: bodyDigest(body), body };
  };
}

function reuse(former: Part | undefined, row: FlagRow): Part {
  const isSame =
    former !== undefined &&
    former.version === row.state_version &&
    former.definition === row.definition &&
    former.state === row.state;
  return isSame ? former : partOf(row);
}

function partOf({ definition, state, state_version: version }: FlagRow): Part {
  const parsed = JSON.parse(definition) as FlagDefinition;
  const text = parsed.retired
    ? null
    : canonicalJson({
        definition: parsed,
        state: state === null ? initialStateOf(parsed) : JSON.parse(state),
        version: version ?? 0,
      });
  return { definition, state, version, text };
}
