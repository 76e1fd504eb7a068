import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FlagDefinition } from '../../src/flags/model.ts';
import { bodyDigest, bodyFile, formatBody } from '../../src/snapshot/body.ts';
import type { PointerClaims } from '../../src/snapshot/pointer.ts';
import type { NoteSigner } from '../../src/tree/note.ts';
import { sampleDefinition, sampleState } from '../flags/samples.ts';
import { claimsOf, latestOf } from './forged-snapshots.ts';
import { canonical } from './log-oracle.ts';

/* A source for relays that says whatever a test wants. */

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/** What it answers to a path: these bytes, or what a function does. Everything else is 404. */
export interface RelaySourceServer {
  url: string;
  answers: Map<string, Buffer | Handler>;
  /** How often each path was asked for. */
  asked: Map<string, number>;
  close(): Promise<void>;
}

/** Starts one. */
export async function startRelaySource(): Promise<RelaySourceServer> {
  const answers = new Map<string, Buffer | Handler>();
  const asked = new Map<string, number>();
  const server = createServer((req, res) => {
    const path = (req.url ?? '').replace(/^\/(snapshots\/)?/, '');
    asked.set(path, (asked.get(path) ?? 0) + 1);
    const answer = answers.get(path);
    if (answer === undefined) res.writeHead(404).end();
    else if (typeof answer === 'function') answer(req, res);
    else res.end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    asked,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What is published of one version. */
export interface ForgedVersion {
  latest: Buffer;
  body: Buffer;
  file: string;
  digest: string;
}

/** A version of production whose flag `colour` serves the name of the version, with other flags of these kinds. */
export function forgedVersion(
  signer: NoteSigner,
  version: number,
  claims: Partial<PointerClaims> = {},
  others: Readonly<Record<string, FlagDefinition['kind']>> = {},
): ForgedVersion {
  const flags = Object.entries({ colour: 'release' as const, ...others }).map(([key, kind]) => {
    const variants = { now: `version ${version}`, safe: 'safe' };
    const definition = sampleDefinition({ key, kind, variants, safe_variant: 'safe' });
    return canonical({ definition, state: sampleState({ default_variant: 'now' }), version });
  });
  const body = Buffer.from(formatBody('production', version, flags));
  const digest = bodyDigest(body);
  const origin = signer.verifier.name;
  const epoch = Number(/\d+$/.exec(origin)?.[0]);
  const latest = latestOf(signer, claimsOf({ version, digest, origin, epoch, ...claims }));
  return { latest, body, file: bodyFile({ version, digest }), digest };
}

/** Publishes a version. */
export function publish({ answers }: RelaySourceServer, { latest, body, file }: ForgedVersion): void {
  answers.set(`production/${file}`, body);
  answers.set('production/latest.json', latest);
}
