import type { ChangeOf } from '../../../flags/changes.ts';
import type { RequestView } from '../../../requests/view.ts';

/** The changes that bring back what was before a request, and what cannot be brought back by them. */
export function wayBack({
  bases,
  changes,
  environment,
}: Pick<RequestView, 'bases' | 'changes' | 'environment'>): {
  changes: ChangeOf<'return_to_version'>[];
  lost: string | null;
} {
  const moved = [
    ...new Set(changes.filter(({ facts }) => facts.scope === 'state').map(({ flag }) => flag.key)),
  ];
  const back = moved.flatMap((flag) => {
    const base = bases.find(({ of }) => of === `state:${flag}@${environment}`);
    return base === undefined || base.version < 1
      ? []
      : [{ action: 'return_to_version' as const, flag, version: base.version }];
  });
  const isDefinition = changes.some(({ facts }) => facts.scope === 'definition');
  const lost = isDefinition
    ? 'What changed in the definition is not returned by this.'
    : back.length < moved.length
      ? 'Before it, the flag had no state here. Switch it off instead.'
      : null;
  return { changes: back, lost };
}
