import { readFile } from 'node:fs/promises';

/** The token that a file holds. @throws Error with what is wrong with the file, for whoever knows why it was read */
export async function readTokenFile(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw new Error('it is empty');
  return token;
}
