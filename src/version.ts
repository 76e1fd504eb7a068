import { readFileSync } from 'node:fs';

/** The name and version of this package, from `package.json`. Who publishes it may give it a name of their own. */
export function loadPackage(): { name: string; version: string } {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { name, version } = JSON.parse(text) as { name: string; version: string };
  return { name, version };
}

/** The version of this package. */
export function loadVersion(): string {
  return loadPackage().version;
}
