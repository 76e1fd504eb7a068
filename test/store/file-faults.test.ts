import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openStore } from '../../src/store/database.ts';
import { explainFileFault } from '../../src/store/file-faults.ts';
import { loadVersion } from '../../src/version.ts';
import { migrateToTheFuture, setMetaIn } from '../support/sqlite/file.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'countersign-store-'));
  file = join(folder, 'test.db');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = () => openStore({ file, clock: systemClock });

describe('a file that cannot be used', () => {
  it('because it is no database says so, and never that another broker has it', async () => {
    await writeFile(file, 'x'.repeat(5000));
    const error = (await open().catch((fault: unknown) => fault)) as Error;
    expect(error.message).toMatch(
      /test\.db cannot be used \(SQLITE_NOTADB\): it is damaged, or no SQLite database/,
    );
    expect(error.message).not.toContain('another broker');
  });

  it('because a folder is in its place says so', async () => {
    await mkdir(`${file}.lock`);
    await expect(open()).rejects.toThrow(/EISDIR.*a folder in its place/);
  });

  it('keeps saying that another broker has it, when one has', async () => {
    const store = await open();
    await expect(open()).rejects.toThrow('in use by another broker');
    await store.close();
  });

  it.each([
    ['SQLITE_FULL', /disk is full/],
    ['ENOSPC', /disk is full/],
    ['SQLITE_READONLY_DBMOVED', /cannot be written/],
    ['EROFS', /cannot be written/],
    ['SQLITE_CANTOPEN', /this user may not open it/],
    ['EACCES', /this user may not open it/],
    ['SQLITE_IOERR_WRITE', /its disk fails or is full/],
  ])('is explained by its code, wherever it is in the chain of causes: %s', (code, says) => {
    const cause = Object.assign(new Error('x'), { code });
    const told = explainFileFault(file, new Error('could not migrate', { cause })) as Error;
    expect(told.message).toMatch(says);
    expect(told.message).toContain(code);
    expect(told.message).toContain(file);
  });

  it.each(['UNKNOWN', 'Unknown system error -122'])(
    'is explained also where Node has no name for the code of the system: %s',
    (code) => {
      const cause = Object.assign(new Error('x'), { code, errno: -constants.errno.EDQUOT });
      expect((explainFileFault(file, cause) as Error).message).toMatch(/EDQUOT.*disk is full/);
    },
  );

  it('leaves other errors as they are', () => {
    const other = new Error('x');
    expect(explainFileFault(file, other)).toBe(other);
  });
});

describe('a database of a newer broker', () => {
  it('is refused with the version that wrote it, and is not changed', async () => {
    await (await open()).close();
    migrateToTheFuture(file);
    setMetaIn(file, 'written_by_version', '7.3.1');
    const refusal = new RegExp(
      `is newer than this broker \\(version ${loadVersion()}\\): version 7\\.3\\.1 of Countersign`,
    );
    await expect(open()).rejects.toThrow(refusal);
    // The refused start did not take it for its own.
    await expect(open()).rejects.toThrow(refusal);
  });

  it('is refused also where no version is known', async () => {
    await (await open()).close();
    migrateToTheFuture(file);
    setMetaIn(file, 'written_by_version', null);
    await expect(open()).rejects.toThrow(/a newer version of Countersign wrote it\. Start that version/);
  });
});
