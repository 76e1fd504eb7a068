import type { InclusionView } from '../../../audit/log-routes.ts';

/** A proof as the file that others verify: `countersign audit verify-proof`, or any program. @see https://c2sp.org/tlog-proof */
export function proofFile({ leaf, index, proof, checkpoint }: InclusionView): string {
  const lines = ['c2sp.org/tlog-proof@v1', `extra ${base64Of(leaf)}`, `index ${index}`, ...proof];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

function base64Of(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''));
}
