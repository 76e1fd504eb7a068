import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { serve } from './child.ts';

/*
 * Clients that follow a stream of server-sent events, all in this process.
 */

/** Opens streams, or waits until every one is told of something more often than `toldBefore` times. */
export type StreamQuestion =
  | { address: string; token: string | null; count: number }
  | { toldBefore: number };

/** How the streams are. */
export interface StreamsNow {
  open: number;
  /** How many were told more often than asked for. */
  told: number;
  /** How often the one that was told least was told. */
  leastTold: number;
}

const WAIT_MS = 20_000;
const LOOK_MS = 20;

const requests: ClientRequest[] = [];
const told: number[] = [];
let open = 0;

function follow(address: string, token: string | null): void {
  const headers = {
    accept: 'text/event-stream',
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
  const place = told.push(0) - 1;
  const request = get(address, { agent: false, headers }, (response: IncomingMessage) => {
    if (response.statusCode !== 200) {
      response.resume();
      return;
    }
    open += 1;
    response.setEncoding('utf8').on('data', (text: string) => {
      if (/^data:/m.test(text)) told[place] = (told[place] ?? 0) + 1;
    });
    response.on('error', () => undefined);
    response.once('close', () => {
      open -= 1;
    });
  });
  request.on('error', () => undefined);
  requests.push(request);
}

async function answer(question: StreamQuestion): Promise<StreamsNow> {
  const before = 'toldBefore' in question ? question.toldBefore : 0;
  if ('address' in question) {
    for (let place = 0; place < question.count; place += 1) follow(question.address, question.token);
  }
  // One that is lost is told nothing any more: then this ends by its time, and the answer says so.
  for (let waitedMs = 0; waitedMs < WAIT_MS && Math.min(...told) <= before; waitedMs += LOOK_MS)
    await setTimeout(LOOK_MS);
  return { open, told: told.filter((times) => times > before).length, leastTold: Math.min(...told) };
}

serve<StreamQuestion>({
  answer,
  end: async () => {
    for (const request of requests) request.destroy();
  },
});
