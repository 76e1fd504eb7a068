import { MOST_CLIENTS } from './bench.ts';
import { askOnce, formRequest } from './connection.ts';
import { contextOf } from './flags.ts';
import type { Server } from './measure.ts';

/** Where OFREP answers: all flags here, one of them below it. */
export const OFREP = '/ofrep/v1/evaluate/flags';

/** What a side is asked by each client, in turn. */
export interface Questions {
  requests: readonly string[];
  status: number;
}

/** One question a client. */
export function ask(questionOf: (client: number) => Parameters<typeof formRequest>[0]): Questions {
  const clients = Array.from({ length: MOST_CLIENTS }, (_, client) => client);
  return { requests: clients.map((client) => formRequest(questionOf(client))), status: 200 };
}

/** Asks once, and from then on for what has changed since. */
export async function askAgain(
  server: Server,
  { path, token }: { path: string; token: string },
): Promise<Questions> {
  const { url } = await server.ask({});
  const requests: string[] = [];
  for (let client = 0; client < MOST_CLIENTS; client += 1) {
    const question = { path, token, body: contextOf(client) };
    const { head } = await askOnce(url, formRequest(question));
    const tag = /\r\netag: ([^\r]+)/i.exec(head)?.[1];
    if (tag === undefined) throw new Error(`an answer without a tag: ${head}`);
    requests.push(formRequest({ ...question, headers: `If-None-Match: ${tag}\r\n` }));
  }
  return { requests, status: 304 };
}
