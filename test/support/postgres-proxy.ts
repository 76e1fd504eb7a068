import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ends, type Forwarder, SOCKET, startForwarder } from './forwarder.ts';

/** When the connection of the next commit is cut, as the broker sees it. `panic`: after an answer that the server panics. */
export type Cut = 'before' | 'during' | 'after' | 'panic';

/** The answer of a server that panics, and whose messages are German. */
const PANIC = Buffer.from('E\0\0\0\x1bSPANIK\0CXX000\0Mfehler\0\0', 'latin1');

/** A connection to a server that can be cut where it hurts. */
export interface PostgresProxy {
  /** The address of the database through it. */
  address: string;
  /** Cuts the connection of the next commit: before the server has it, right after it was sent, or before its answer. */
  cutNextCommit(cut: Cut): void;
  /** The same, and lets no connection through until {@link PostgresProxy.open}. */
  shutAtNextCommit(cut: Cut): void;
  /** Lets no statement with these words through until {@link PostgresProxy.open}. @returns how many it has kept */
  keepBack(words: string): () => number;
  open(): void;
  close(): Promise<void>;
}

/** Starts a proxy before the server of an address, which is that of a socket. */
export async function startProxy(address: string): Promise<PostgresProxy> {
  const [, host = '', database = ''] = /@([^/]+)\/(.+)$/.exec(address) ?? [];
  const folder = await mkdtemp(join(tmpdir(), 'countersign-proxy-'));
  let cut: Cut | null = null;
  let isShut = false;
  let shutsThen = false;
  let keptWords: string | null = null;
  let kept = 0;

  function forward({ client, upstream, end }: Ends): void {
    const endNow = () => {
      isShut = shutsThen;
      if (isShut) forwarder.endAll();
      end();
    };
    let isAnswerCut = false;
    let panics = false;
    client.on('data', (bytes) => {
      if (keptWords !== null && bytes.includes(keptWords)) {
        kept += 1;
        return;
      }
      const isCommit = cut !== null && bytes.includes('commit\0');
      if (!isCommit) {
        upstream.write(bytes);
        return;
      }
      const now = cut;
      cut = null;
      if (now === 'before') endNow();
      else {
        isAnswerCut = true;
        panics = now === 'panic';
        upstream.write(bytes, () => {
          if (now === 'during') endNow();
        });
      }
    });
    upstream.on('data', (bytes) => {
      if (panics) client.end(PANIC, endNow);
      else if (isAnswerCut) endNow();
      else client.write(bytes);
    });
  }

  const forwarder: Forwarder = await startForwarder({
    listen: { path: join(folder, SOCKET) },
    to: () => (isShut ? null : join(decodeURIComponent(host), SOCKET)),
    join: forward,
  });

  return {
    address: `postgres://postgres@${encodeURIComponent(folder)}/${database}`,
    cutNextCommit: (next) => {
      cut = next;
    },
    shutAtNextCommit: (next) => {
      cut = next;
      shutsThen = true;
    },
    keepBack: (words) => {
      keptWords = words;
      return () => kept;
    },
    open: () => {
      keptWords = null;
      isShut = false;
      shutsThen = false;
    },
    close: async () => {
      await forwarder.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
