import type { FreezeView } from '../../emergency/freeze.ts';

/** What a freeze covers. */
export function scopeInWords({
  scope,
  environment,
  namespace,
  flag,
}: Pick<FreezeView, 'scope' | 'environment' | 'namespace' | 'flag'>): string {
  if (scope === 'all') return 'everything';
  return [
    ...(flag == null ? [] : [`flag ${flag}`]),
    ...(namespace == null ? [] : [`namespace ${namespace}`]),
    ...(environment == null ? [] : [environment]),
  ].join(' in ');
}
