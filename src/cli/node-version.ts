/** The oldest Node that runs TypeScript as it is and has what the broker uses. */
const OLDEST = [22, 18] as const;

/**
 * What to tell somebody whose Node is too old, or null when it is not.
 *
 * @param version as `process.versions.node` has it
 */
export function nodeVersionFault(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return null;
  return `countersign needs Node ${OLDEST.join('.')} or newer; this is ${version}. Install a newer one from https://nodejs.org.`;
}
