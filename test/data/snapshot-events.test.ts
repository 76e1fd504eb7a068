import { get, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { createSnapshotEvents, type StreamedFile } from '../../src/data/snapshot-events.ts';
import { BrokerError } from '../../src/errors.ts';
import { listen, type OpenSocket } from '../../src/http/server.ts';

/* What a relay that connects is told, whatever one of the files is like. */

type Files = Record<StreamedFile, () => Promise<string | null>>;

let socket: OpenSocket | null = null;
afterEach(() => socket?.stop(async () => undefined));

/** Connects, and reads the names of so many events. A refusal is its code. */
async function connectTo(files: Files, count: number): Promise<string[]> {
  const events = createSnapshotEvents({
    ...{ files, isPublished: () => true, clock: Date.now, random: () => 0 },
    log: { warn: () => undefined },
  });
  socket = await listen({ host: '127.0.0.1', port: 0 });
  socket.serve((_, res) => {
    events.open(res, { environment: 'production', principal: { id: 'one' } }).catch((error: unknown) => {
      res.end(`event: ${error instanceof BrokerError ? error.code : 'failed'}\n`);
    });
  });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(socket?.url ?? '', resolve).on('error', reject);
  });
  let text = '';
  const names = () => [...text.matchAll(/^event: (\w+)$/gm)].map(([, name = '']) => name);
  for await (const piece of response) {
    text += String(piece);
    if (names().length >= count) break;
  }
  response.destroy();
  return names();
}

const text = (size: number) => async () => 'x'.repeat(size);
const failing = (error: Error) => async () => {
  throw error;
};

describe('a stream of snapshots', () => {
  it('brings the pointer and a list of readers of megabytes, the pointer first', async () => {
    const late = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return 'pointer';
    };
    expect(await connectTo({ latest: late, readers: text(6 * 1024 * 1024) }, 2)).toEqual([
      'latest',
      'readers',
    ]);
  });

  it('brings the pointer if no list of readers can be made', async () => {
    const readers = failing(new Error('too many revocations'));
    expect(await connectTo({ latest: text(10), readers }, 1)).toEqual(['latest']);
  });

  it('is refused if the pointer cannot be read, or the broker may sign nothing', async () => {
    expect(await connectTo({ latest: failing(new Error('x')), readers: text(1) }, 1)).toEqual(['failed']);
    await socket?.stop(async () => undefined);
    const readers = failing(new BrokerError('restored_copy', 'restored'));
    expect(await connectTo({ latest: text(1), readers }, 1)).toEqual(['restored_copy']);
  });
});
