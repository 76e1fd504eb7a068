import { loadVersion } from '../version.ts';

/** The meta key of the version of Countersign that opened the database last. */
export const WRITTEN_BY = 'written_by_version';

/** @param by the version that wrote it, if it says so */
export function newerSchema(database: string, by: string | null): Error {
  const version = by === null ? 'a newer version' : `version ${by}`;
  return new Error(
    `the database ${database} is newer than this broker (version ${loadVersion()}): ${version} of Countersign wrote it. Start that version or a later one, or restore a copy from before the upgrade`,
  );
}
