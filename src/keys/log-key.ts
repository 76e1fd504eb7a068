import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { type LogHead, readHead } from '../store/log-head.ts';
import { insertFirstLogKey, listKeysOfEpoch } from '../store/log-keys.ts';
import type { LogKeysTable } from '../store/schema-log.ts';
import type { Store } from '../store/store.ts';
import { handOver, type KeyHandover } from '../tree/key-chain.ts';
import { type NoteSigner, noteSigner, parseVerifier } from '../tree/note.ts';
import type { MasterKey } from './master-key.ts';
import { stateOf } from './signing-keys.ts';

/*
 * The key of the log signs its checkpoints and the pointers to published snapshots, and nothing else. It is apart from the keys
 * of tokens, which come and go: whoever verifies the log has the public part in advance. It is handed over to a new key by a
 * decided write (`log-rotation.ts`).
 */

/** What a log key is sealed for. @param vkey its public part */
export function sealedLogKeyUse(vkey: string): string {
  return `log_key:${vkey}`;
}

/**
 * The origin of a log: its name in every checkpoint. Each epoch has its own, because the log of a restored copy is another
 * one: it lacks records that the former had.
 *
 * @param options.prefix the configured name; otherwise the broker's host and the beginning of the installation's id
 * @param options.host the host of the public URL, if it is configured
 */
export function originOf(options: {
  prefix: string | undefined;
  host: string | undefined;
  installation: string;
  epoch: number;
}): string {
  const { prefix, host = 'countersign', installation, epoch } = options;
  return `${prefix ?? `${host}/log/${installation.slice(0, 8)}`}/${epoch}`;
}

/** The keys of the log in its present epoch. */
export interface LogKeys {
  /** The keys that sign now: the newest, and those before it that have not retired. */
  signers(): Promise<[NoteSigner, ...NoteSigner[]]>;
  /** Generates and seals the next key, for {@link rotateLogKey}. It is not in use until it is stored. */
  prepare(): Promise<NextLogKey>;
}

/** A key that the log may be handed over to. */
export interface NextLogKey {
  row: LogKeysTable;
  handover: KeyHandover;
}

/**
 * Opens the keys of the log. The first use in an epoch generates its first key and fixes the origin: what is configured
 * later is for the next epoch.
 */
export function openLogKeys(options: {
  store: Store;
  masterKey: MasterKey;
  clock: Clock;
  prefix: string | undefined;
  publicUrl: string | undefined;
}): LogKeys {
  const { store, masterKey, clock } = options;
  /** Opened keys, by their public parts: unsealing is expensive. */
  const opened = new Map<string, NoteSigner>();

  async function open({ vkey, private_key }: LogKeysTable): Promise<NoteSigner> {
    const known = opened.get(vkey);
    if (known !== undefined) return known;
    const pem = await masterKey.unseal(private_key, sealedLogKeyUse(vkey));
    const signer = noteSigner(parseVerifier(vkey).name, createPrivateKey(pem));
    if (signer.verifier.vkey !== vkey)
      throw new Error('the stored key of the log does not fit its public part');
    opened.set(vkey, signer);
    return signer;
  }

  async function generate(origin: string, epoch: number): Promise<{ row: LogKeysTable; signer: NoteSigner }> {
    const { privateKey } = generateKeyPairSync('ed25519');
    const signer = noteSigner(origin, privateKey);
    const { vkey } = signer.verifier;
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const private_key = await masterKey.seal(pem, sealedLogKeyUse(vkey));
    return {
      row: { epoch, vkey, private_key, created_ms: clock(), place: null, retires_ms: null },
      signer,
    };
  }

  async function firstKey({ epoch, installation }: LogHead): Promise<LogKeysTable[]> {
    const host = options.publicUrl === undefined ? undefined : new URL(options.publicUrl).host;
    const origin = originOf({ prefix: options.prefix, host, installation, epoch });
    const { row } = await generate(origin, epoch);
    return store.writer.write((tx) => insertFirstLogKey(tx, row));
  }

  async function signers(): Promise<[NoteSigner, ...NoteSigner[]]> {
    const head = await readHead(store.read);
    const stored = await listKeysOfEpoch(store.read, head.epoch);
    const [newest, ...former] = stored.length > 0 ? stored : await firstKey(head);
    if (newest === undefined) throw new Error('the log has no key');
    const signing: [NoteSigner, ...NoteSigner[]] = [await open(newest)];
    const nowMs = clock();
    for (const key of former) if (stateOf(key, nowMs) === 'verifying') signing.push(await open(key));
    const names = new Set(signing.map(({ verifier }) => verifier.vkey));
    for (const vkey of opened.keys()) if (!names.has(vkey)) opened.delete(vkey);
    return signing;
  }

  return {
    signers,
    prepare: async () => {
      const [former] = await signers();
      const { epoch } = await readHead(store.read);
      const { row, signer } = await generate(former.verifier.name, epoch);
      return { row, handover: handOver(former, signer.verifier) };
    },
  };
}
