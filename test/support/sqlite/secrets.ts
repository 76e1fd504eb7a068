import { withFile } from './file.ts';

/*
 * The secrets in a broker's file, as somebody who has the file meets them: signing keys, and the secret of cursors.
 */

/** A row of a signing key. */
export interface KeyRow {
  kid: string;
  private_jwk: string;
  public_jwk: string;
  created_ms: number;
  retires_ms: number | null;
}

/** The stored text of every secret: of the signing keys, then of the cursor secret. */
export function secretTexts(file: string): string[] {
  return withFile(
    file,
    (db) =>
      db
        .prepare(
          "select private_jwk from signing_keys union all select value from meta where key = 'cursor_secret'",
        )
        .pluck()
        .all() as string[],
  );
}

/** The stored private part of each signing key. */
export function privateParts(file: string): Record<string, string> {
  return withFile(file, (db) => {
    const rows = db.prepare('select kid, private_jwk from signing_keys').all() as KeyRow[];
    return Object.fromEntries(rows.map(({ kid, private_jwk }) => [kid, private_jwk]));
  });
}

/** Puts in a signing key as it stands. */
export function insertSigningKey(
  file: string,
  { kid, private_jwk, public_jwk, created_ms, retires_ms }: KeyRow,
): void {
  withFile(file, (db) =>
    db
      .prepare("insert into signing_keys values (?, 'token', ?, ?, ?, ?)")
      .run(kid, private_jwk, public_jwk, created_ms, retires_ms),
  );
}

/** Puts in the cursor secret as it stands, where there is none. */
export function insertCursorSecret(file: string, text: string): void {
  withFile(file, (db) => db.prepare("insert into meta values ('cursor_secret', ?)").run(text));
}

/** Puts a text in the place of every signing key's private part. */
export function overwriteSigningKeys(file: string, text: string): void {
  withFile(file, (db) => db.prepare('update signing_keys set private_jwk = ?').run(text));
}

/** Puts a text in the place of the cursor secret. */
export function overwriteCursorSecret(file: string, text: string): void {
  withFile(file, (db) => db.prepare("update meta set value = ? where key = 'cursor_secret'").run(text));
}

/** Refuses to store another cursor secret. @returns what lets it again */
export function refuseCursorSecret(file: string): () => void {
  withFile(file, (db) =>
    db.exec(
      "create trigger fault before update on meta when new.key = 'cursor_secret' begin select raise(abort, 'no'); end",
    ),
  );
  return () => withFile(file, (db) => db.exec('drop trigger fault'));
}

/** Writes texts and removes them again, so that free pages hold them, as those of a file that has been in use. */
export function leaveInFreePages(file: string, texts: readonly string[]): void {
  withFile(file, (db) => {
    db.pragma('secure_delete = OFF');
    db.exec('create table left_over (text text)');
    for (const text of texts) db.prepare('insert into left_over values (?)').run(text);
    db.exec('drop table left_over');
  });
}

/** Notes that the file still has to be rewritten, as a start does before it seals secrets. */
export function markRewriteDue(file: string): void {
  withFile(file, (db) => db.exec("insert into meta values ('rewrite_due', '1')"));
}

/** Whether the file still has to be rewritten. */
export function isRewriteDue(file: string): boolean {
  return withFile(
    file,
    (db) => db.prepare("select 1 from meta where key = 'rewrite_due'").get() !== undefined,
  );
}

/** The stored text of the private part of each log key. */
export function logKeyTexts(file: string): string[] {
  return withFile(
    file,
    (db) =>
      db.prepare('select private_key from log_keys order by epoch, created_ms').pluck().all() as string[],
  );
}
