/**
 * Reads the parameters of a form. One that is there twice makes the whole form unusable, whatever it is: taking the
 * first or the last would let two readers see two requests. One without a value counts as absent.
 *
 * @returns null for a form with a repeated parameter
 * @see RFC 6749 section 3.2
 */
export function readParameters(body: string): ((name: string) => string | undefined) | null {
  const form = new URLSearchParams(body);
  const names = [...form.keys()];
  if (new Set(names).size !== names.length) return null;
  return (name) => form.get(name) || undefined;
}
