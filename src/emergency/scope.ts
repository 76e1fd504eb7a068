import type { FreezeScope } from '../policy/input.ts';

/** Describes the scope of a freeze: what it is a freeze of. */
export function describeScope({ scope, environment, namespace, flag }: FreezeScope): string {
  const at = environment === null ? '' : ` in ${environment}`;
  const covered = flag ?? namespace;
  return covered === null ? `all writes${at}` : `${scope} ${covered}${at}`;
}
