#!/usr/bin/env node
import { nodeVersionFault } from './cli/node-version.ts';

const fault = nodeVersionFault(process.versions.node);
if (fault === null) {
  // Imported dynamically: on an old Node a static import would fail with an unhelpful message.
  const [{ runCli }, { createProcessIo }] = await Promise.all([
    import('./cli/program.ts'),
    import('./cli/process-io.ts'),
  ]);
  process.exitCode = await runCli(process.argv.slice(2), createProcessIo(process.env));
} else {
  process.stderr.write(`${fault}\n`);
  process.exitCode = 1;
}
