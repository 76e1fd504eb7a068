import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

const ROOT = new URL('../../', import.meta.url);

/** A file of this repository with its text; paths are relative to the root, with slashes. */
export interface Source {
  path: string;
  text: string;
}

/** All files below a folder whose names end so. */
export function readSources(folder: string, ending: string): Source[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name))
    .filter((path) => path.endsWith(ending) && !path.includes('node_modules'))
    .sort()
    .map((path) => ({ path, text: readFileSync(new URL(path, ROOT), 'utf8') }));
}

/** What a module imports or exports from: packages by name, own files by path. */
export function importsOf({ path, text }: Source): string[] {
  const found = text.matchAll(
    /(?:^|\n)(?:import|export)\s+(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/g,
  );
  return [...found].map((match) => {
    const name = match[1] ?? match[2] ?? '';
    return name.startsWith('.') ? posix.join(posix.dirname(path), name) : name;
  });
}

/** The names that a module imports from one of the repository's own files. */
export function namesImported({ path, text }: Source, from: string): string[] {
  const found = text.matchAll(/(?:^|\n)import\s+(?:type\s+)?\{([^}]*)\}\s+from\s+'(\.[^']+)'/g);
  return [...found]
    .filter(([, , name = '']) => posix.join(posix.dirname(path), name) === from)
    .flatMap(([, names = '']) => names.split(','))
    .map(
      (name) =>
        name
          .trim()
          .replace(/^type\s+/, '')
          .split(/\s+as\s+/)[0] ?? '',
    )
    .filter((name) => name !== '');
}
