import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Store } from '../store/database.ts';
import { readHead } from '../store/log-head.ts';
import { findLogKey, insertLogKey } from '../store/log-keys.ts';
import { type NoteSigner, noteSigner, parseVerifier } from '../tree/note.ts';
import type { MasterKey } from './master-key.ts';

/*
 * The key of the log signs its checkpoints, and nothing else. It is apart from the keys of tokens, which come and go:
 * whoever verifies the log has the public part in advance.
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

/** Signs for the log in its present epoch. */
export type LogSigner = () => Promise<NoteSigner>;

/**
 * Opens the key of the log. The first use in an epoch generates it and fixes the origin: what is configured later is for
 * the next epoch.
 */
export function openLogKey(options: {
  store: Store;
  masterKey: MasterKey;
  clock: Clock;
  prefix: string | undefined;
  publicUrl: string | undefined;
}): LogSigner {
  const { store, masterKey } = options;
  let opened: { epoch: number; signer: NoteSigner } | null = null;
  return async () => {
    const { epoch, installation } = await readHead(store.read);
    if (opened?.epoch === epoch) return opened.signer;
    const host = options.publicUrl === undefined ? undefined : new URL(options.publicUrl).host;
    const origin = originOf({ prefix: options.prefix, host, installation, epoch });
    const { vkey, private_key } =
      (await findLogKey(store.read, epoch)) ?? (await makeKey(origin, { ...options, epoch }));
    const pem = await masterKey.unseal(private_key, sealedLogKeyUse(vkey));
    const signer = noteSigner(parseVerifier(vkey).name, createPrivateKey(pem));
    if (signer.verifier.vkey !== vkey)
      throw new Error('the stored key of the log does not fit its public part');
    opened = { epoch, signer };
    return signer;
  };
}

async function makeKey(
  origin: string,
  { store, masterKey, clock, epoch }: { store: Store; masterKey: MasterKey; clock: Clock; epoch: number },
) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { vkey } = noteSigner(origin, privateKey).verifier;
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const private_key = await masterKey.seal(pem, sealedLogKeyUse(vkey));
  const row = { epoch, vkey, private_key, created_ms: clock() };
  return store.writer.write((tx) => insertLogKey(tx, row));
}
