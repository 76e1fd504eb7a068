/**
 * Reads the answer of another system. What it sends beyond the limit is not waited for, and never in memory.
 *
 * @param maxBytes counted after decompression
 * @returns the text, or null if it is longer
 * @throws Error if the connection breaks, or the time of the request is over
 */
export async function readAnswer(response: Response, maxBytes: number): Promise<string | null> {
  const parts: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the stream, which ends the connection.
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > maxBytes) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
