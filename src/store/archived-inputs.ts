import { join } from 'node:path';
import { BrokerError } from '../errors.ts';
import { isArchiveName, readPart, unseal } from './archive-file.ts';
import type { ArchivedInputsTable, ArchivesTable } from './schema-log.ts';

/** Where an input is; null members: in the database itself. */
export type ArchivePlace = {
  [Member in 'file_offset' | 'file_length' | 'key']: ArchivedInputsTable[Member] | null;
} & Pick<ArchivesTable, 'file'>;

/** The columns of an {@link ArchivePlace}. */
export const ARCHIVE_PLACE = [
  'archived.file_offset',
  'archived.file_length',
  'archived.key',
  'archives.file',
] as const;

/** Where the archives are. */
interface ArchivesAt {
  archiveFolder: string | null;
}

/** Why an input cannot be read from its archive. It was not erased. */
export class ArchiveFault extends Error {
  readonly code: 'archive_missing' | 'archive_damaged';

  constructor(code: ArchiveFault['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ArchiveFault';
    this.code = code;
  }
}

/** A record whose input is read. */
export type InputRow = ArchivePlace & {
  place: number;
  leaf: string;
  id: string | null;
  input: string | null;
};

/**
 * The input of a record, from wherever it is; null if it was erased.
 *
 * @throws ArchiveFault if it is in an archive that cannot be read
 */
export async function readInput({ archiveFolder }: ArchivesAt, row: InputRow): Promise<string | null> {
  const { input, file, key, file_offset: offset, file_length: length } = row;
  if (file === null || key === null || offset === null || length === null) return input;
  const where = `The input of decision ${row.id ?? `at place ${row.place}`} is in archive ${file}`;
  if (archiveFolder === null)
    throw new ArchiveFault(
      'archive_missing',
      `${where}, and the configuration names no folder of archives: name it in retention.archive_folder.`,
    );
  if (!isArchiveName(file))
    throw new ArchiveFault(
      'archive_damaged',
      `${where}, which is no name of an archive, so the database was changed: restore it from a backup.`,
    );
  let sealed: Buffer | null;
  try {
    sealed = await readPart(join(archiveFolder, file), { offset, length });
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'is not there' : `cannot be read (${code})`;
    throw new ArchiveFault('archive_missing', `${where}, which ${why}: put it back into ${archiveFolder}.`, {
      cause: error,
    });
  }
  try {
    if (sealed !== null) return unseal(sealed, key, row);
  } catch {
    // Said below.
  }
  throw new ArchiveFault(
    'archive_damaged',
    `${where}, whose bytes from ${offset} on are not those that were archived: restore the file in ${archiveFolder} from a copy.`,
  );
}

/** The same for an answer. @throws BrokerError `state_conflict` if the archive cannot be read */
export async function readInputOf(store: ArchivesAt, row: InputRow): Promise<string | null> {
  try {
    return await readInput(store, row);
  } catch (error) {
    if (!(error instanceof ArchiveFault)) throw error;
    throw new BrokerError('state_conflict', error.message, { extra: { why: error.code } }, error);
  }
}
