import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/*
 * Run by `npm publish`, before anything is sent: Countersign is published to a registry of one's own, and never to the
 * public one by accident.
 */

const PUBLIC = /(^|\.)(npmjs\.(org|com)|yarnpkg\.com)$/;

interface Manifest {
  name: string;
  publishConfig?: Record<string, string>;
}

/** The registry that npm publishes to: that of the scope, before the default one. */
function registryFor({ name, publishConfig = {} }: Manifest): string {
  const settingOf = (key: string) =>
    publishConfig[key] ?? execFileSync('npm', ['config', 'get', key], { encoding: 'utf8' }).trim();
  const [scope] = name.split('/');
  const ofScope = name.startsWith('@') ? settingOf(`${scope}:registry`) : 'undefined';
  return ofScope === 'undefined' ? settingOf('registry') : ofScope;
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
const registry = registryFor(manifest);
if (PUBLIC.test(new URL(registry).hostname) && process.env.COUNTERSIGN_PUBLISH !== 'public') {
  process.stderr.write(
    `${manifest.name} was not published: ${registry} is a public registry. Name your own one, such as:
    npm publish --registry https://npm.example.com/
docs/package.md explains it. To publish it to everybody on purpose, set COUNTERSIGN_PUBLISH=public.\n`,
  );
  process.exit(1);
}
