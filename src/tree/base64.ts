/** Reads standard base64 with padding, in its only canonical form; null for any other text. @see RFC 4648 section 4 */
export function parseBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}
