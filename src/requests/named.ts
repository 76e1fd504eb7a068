import type { ControlDeps, Named } from '../decide/control.ts';
import type { RequestContent } from '../decide/plan.ts';
import { unknownRequest } from './open-request.ts';
import { loadRequest, placesOf } from './request.ts';

/** A request that a call names. */
export async function namedRequest({ kinds, store }: ControlDeps, id: string): Promise<Named> {
  const request = await loadRequest(store.read, id);
  return {
    operation: 'request.read',
    places: request === undefined ? null : placesOf(request, kinds),
    unknown: unknownRequest(id),
  };
}

/** What a content names. */
export function namedByContent(
  { kinds, store, policies }: ControlDeps,
  content: RequestContent,
): Promise<Named[]> {
  return kinds.of(content.kind).namedBy(store.read, content, policies.latest());
}
