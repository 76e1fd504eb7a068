import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { FlagdCore } from '@openfeature/flagd-core';
import { flagdDefinition } from './flagd-definition.ts';
import type { SnapshotFlag } from './snapshot.ts';
import type { View } from './view.ts';

/** The complete definitions of a view, for flagd. @see flagd-schemas, `json/flags.json` */
export interface FlagdDocument {
  readonly body: Buffer;
  /** A strong entity tag: equal bodies have equal tags, in every process. */
  readonly tag: string;
}

/** The documents of this process. */
export interface FlagdDocuments {
  /**
   * The document of a view; if that is invalid, the last valid one of the same environment and namespaces, or null if there
   * was none. It is never an empty document in place of a missing one.
   */
  of(view: View): Promise<FlagdDocument | null>;
}

/** The dependencies of the documents. */
export interface FlagdDocumentsDeps {
  log: { error(fields: object, message: string): void };
}

/** After so many flags, other work goes on, also when none of them is new. */
const FLAGS_AT_ONCE = 100;
/** How many documents are kept for when a later one is invalid: one for each list of namespaces that trust rules name. */
const MAX_LAST_GOOD = 32;

const SCHEMA = 'https://flagd.dev/schema/v0/flags.json';

/**
 * Creates the documents. One invalid flag would make flagd and its providers refuse the whole document, and some then have no
 * flags at all. So flagd's own evaluator loads every flag before it is published. That takes about a millisecond for each,
 * so other work goes on between them, and a flag that has not changed is not loaded again.
 */
export function createFlagdDocuments({ log }: FlagdDocumentsDeps): FlagdDocuments {
  const byView = new WeakMap<View, Promise<FlagdDocument | null>>();
  /** The last valid documents, that of the list of namespaces last that was asked for last. */
  const lastGood = new Map<string, { document: FlagdDocument; version: number }>();
  const texts = new WeakMap<SnapshotFlag, string>();
  /** The valid text of each flag by environment and key. A snapshot that is loaded anew has new objects of equal flags. */
  const valid = new Map<string, string>();

  /** The member of a flag in a document. @throws Error if flagd would refuse it */
  function memberOf(environment: string, flag: SnapshotFlag): { text: string; isNew: boolean } {
    const known = texts.get(flag);
    if (known !== undefined) return { text: known, isNew: false };
    const { key } = flag.definition;
    const text = `${JSON.stringify(key)}:${JSON.stringify(flagdDefinition(flag))}`;
    const place = `${environment} ${key}`;
    const isNew = valid.get(place) !== text;
    if (isNew) {
      assertValid(key, text);
      valid.set(place, text);
    }
    texts.set(flag, text);
    return { text, isNew };
  }

  async function build(view: View): Promise<FlagdDocument> {
    const members: string[] = [];
    for (const flag of view.flags.values()) {
      const { text, isNew } = memberOf(view.environment, flag);
      members.push(text);
      if (isNew || members.length % FLAGS_AT_ONCE === 0) await setImmediate();
    }
    const head = JSON.stringify({ $schema: SCHEMA, metadata: metadataOf(view) }).slice(0, -1);
    const body = Buffer.from(`${head},"flags":{${members.join()}}}`);
    return { body, tag: `"${createHash('sha256').update(body).digest('base64url')}"` };
  }

  function keep(place: string, built: { document: FlagdDocument; version: number }): void {
    const former = lastGood.get(place);
    lastGood.delete(place);
    // A slow build may end after that of a newer version.
    lastGood.set(place, former !== undefined && former.version > built.version ? former : built);
    for (const oldest of lastGood.keys()) {
      if (lastGood.size <= MAX_LAST_GOOD) break;
      lastGood.delete(oldest);
    }
  }

  async function buildOrLast(view: View): Promise<FlagdDocument | null> {
    const { environment, namespaces, version } = view;
    const place = JSON.stringify([environment, ...namespaces]);
    try {
      const document = await build(view);
      keep(place, { document, version });
      return document;
    } catch (err) {
      log.error({ err, environment, version }, 'no valid document for flagd, the previous one stays');
      return lastGood.get(place)?.document ?? null;
    }
  }

  return {
    of(view) {
      const present = byView.get(view);
      if (present !== undefined) return present;
      const building = buildOrLast(view);
      byView.set(view, building);
      return building;
    },
  };
}

/** A version would tell readers of some namespaces that something changed in others. */
function metadataOf({ environment, namespaces, version }: View): Record<string, string | number> {
  return { flagSetId: environment, ...(namespaces.includes('*') ? { version } : {}) };
}

/** @param member a flag as a member of the document's `flags` @throws Error that says why flagd would refuse it */
function assertValid(key: string, member: string): void {
  const complaints: string[] = [];
  const complain = (...text: unknown[]) => complaints.push(text.map(String).join(' '));
  const silent = () => undefined;
  const logger = { error: complain, warn: complain, info: silent, debug: silent };
  const core = new FlagdCore(undefined, logger, { disableDynamicCodeGeneration: true });
  try {
    core.setConfigurations(`{"flags":{${member}}}`);
  } catch (cause) {
    throw new Error(`flagd refuses ${key}`, { cause });
  }
  const result = core.getFlag(key)?.evaluate({}, logger);
  if (complaints.length > 0) throw new Error(`flagd refuses ${key}: ${complaints.join('; ')}`);
  if (result?.variant === undefined) {
    throw new Error(`flagd finds no variant for ${key}: ${result?.errorMessage ?? 'no flag'}`);
  }
}
