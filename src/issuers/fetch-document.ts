import { hasDuplicateMembers } from '../json-members.ts';

/** The maximum size of a document from an issuer, in bytes. */
export const MAX_DOCUMENT_BYTES = 256 * 1024;

/** The network access of {@link fetchDocument}. */
export interface DocumentFetch {
  fetch: typeof globalThis.fetch;
  /** The timeout for the whole exchange, including the body, in milliseconds. */
  timeoutMs: number;
}

/**
 * Fetches a JSON document without following redirects, reading at most {@link MAX_DOCUMENT_BYTES}, within the timeout.
 *
 * @throws Error with the cause, for the log
 */
export async function fetchDocument(address: string, { fetch, timeoutMs }: DocumentFetch): Promise<unknown> {
  const response = await fetch(address, {
    redirect: 'manual',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the response has status ${response.status}, not 200`);
  }
  const text = await readCapped(response);
  const document: unknown = JSON.parse(text);
  if (hasDuplicateMembers(text)) throw new Error('the document has a duplicate object member');
  return document;
}

/** The body as text. @throws Error when it exceeds {@link MAX_DOCUMENT_BYTES} */
export async function readCapped(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop early cancels the stream, so a huge document is not downloaded completely.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_DOCUMENT_BYTES) throw new Error(`the document has more than ${MAX_DOCUMENT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
