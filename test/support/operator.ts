import { join } from 'node:path';
import { createTerminal, type Run } from '../cli/support.ts';
import type { TestBroker } from './broker.ts';

/** Runs an operator's act on the broker's database with the command line. */
export function act(t: TestBroker, name: string, reason = 'an act of a test'): Promise<Run> {
  const config = join(t.folder, 'countersign.yaml');
  const yes = name === 'accept-restore' ? ['--yes'] : [];
  return createTerminal(t).run(name, '--config', config, '--reason', reason, '--json', ...yes);
}

/** The same while the broker is stopped, and starts it again. */
export async function actOffline(t: TestBroker, name: string, reason?: string): Promise<Run> {
  await t.broker.close();
  const done = await act(t, name, reason);
  await t.restart();
  return done;
}
