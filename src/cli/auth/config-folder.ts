import { isAbsolute, join } from 'node:path';
import type { Io } from '../io.ts';

/** The folder `countersign` in the user's configuration folder. */
export function configFolder({ env, home }: Pick<Io, 'env' | 'home'>): string {
  // A relative XDG_CONFIG_HOME must be ignored (XDG Base Directory Specification, "Environment variables").
  const named = env.XDG_CONFIG_HOME ?? '';
  return join(isAbsolute(named) ? named : join(home, '.config'), 'countersign');
}
