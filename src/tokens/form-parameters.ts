/**
 * Reads the parameters of a form. A duplicate parameter makes the whole form invalid. If one value were chosen, two
 * readers could see two requests. A parameter without a value counts as absent.
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
