import { readFile } from 'node:fs/promises';

/** Reads a token from a file. @throws Error with the fault of the file; the caller adds the context */
export async function readTokenFile(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw new Error('it is empty');
  return token;
}
