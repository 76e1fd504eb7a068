/** The oldest Node version that runs TypeScript directly and has the APIs that the broker uses. */
const OLDEST = [22, 18] as const;

/**
 * The error message for an unsupported Node version, or null for a supported one.
 *
 * @param version the value of `process.versions.node`
 */
export function nodeVersionFault(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return null;
  return `countersign needs Node ${OLDEST.join('.')} or newer. This is version ${version}. Install a newer one from https://nodejs.org.`;
}
