import {
  Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { BrokerError } from '../errors.ts';
import type { AuthenticateReader, ByToken, DataReader, FollowedReader } from './credentials.ts';
import type { FlagdDocument, FlagdDocuments } from './flagd-documents.ts';
import type { FollowedView, ViewWatch } from './view-watch.ts';

/*
 * The sync service of flagd, `flagd.sync.v1`. Each message is a whole document, checked by flagd's own evaluator. A stream
 * never ends with the status OK: providers then stay as they are for ever, and ask nobody again.
 */

/** The largest document. Clients take messages of 4 MiB unless they are told otherwise, and some cannot be told. */
export const MAX_DOCUMENT_BYTES = 3_670_016;

/** How often it is looked at whether a token has ended. */
const TICK_MS = 500;

/** What the service needs: what is read, by whom, and in which form. */
export interface FlagdSyncDeps extends ByToken {
  views: ViewWatch;
  documents: FlagdDocuments;
  /** Authenticates a token in the metadata of a call. */
  authenticate: AuthenticateReader;
  /** Who calls without a token; null if nobody may. */
  withoutToken: DataReader | null;
  /** @returns what to answer to a refused call: the refusal, or `rate_limited` in its place */
  refusal(peer: string, error: unknown): Promise<unknown>;
  /** Counts a read of all definitions. */
  read?: (reader: DataReader, nowMs: number) => void;
  maxStreams: number;
  clock: Clock;
  log: { error(fields: object, message: string): void };
}

interface SyncRequest {
  /** Of no request for metadata. */
  selector?: string;
}

/** Before it is serialised. */
export interface SyncResponse {
  document: FlagdDocument;
  environment: string;
}

type SyncCall = ServerWritableStream<SyncRequest, SyncResponse>;
type UnaryCall<Response> = ServerUnaryCall<SyncRequest, Response>;

/** A refusal, as gRPC has it. */
interface Refusal {
  code: status;
  details: string;
}

/** The handlers of the service, by the names of its methods. */
export interface FlagdSync {
  SyncFlags(call: SyncCall): void;
  FetchAllFlags(call: UnaryCall<SyncResponse>, answer: sendUnaryData<SyncResponse>): void;
  GetMetadata(call: UnaryCall<SyncResponse>, answer: sendUnaryData<SyncResponse>): void;
  /** Ends all streams, so that clients connect elsewhere or again. */
  endAll(): void;
}

/** A stream in progress. */
interface OpenStream {
  endIfDue(nowMs: number): void;
  end(refusal: Refusal): void;
}

/** Creates the handlers. */
export function createFlagdSync(deps: FlagdSyncDeps): FlagdSync {
  const { views, documents, withoutToken, clock, log } = deps;
  const open = new Set<OpenStream>();
  let ticks: NodeJS.Timeout | null = null;

  async function readerOf(call: SyncCall | UnaryCall<SyncResponse>): Promise<FollowedReader> {
    const authorization = textOf(call.metadata.get('authorization'));
    if (authorization === undefined && withoutToken !== null) {
      return { reader: withoutToken, endsAtMs: Number.POSITIVE_INFINITY, mayGoOn: () => true };
    }
    // A call is new to everybody: no connection has shown its token before.
    const credentials = {
      ...{ authorization, apiKey: undefined, dpop: undefined },
      ...{ method: 'POST', target: call.getPath(), connection: {} },
    };
    await deps.authenticate(credentials);
    return deps.follow(deps.tokenOf(credentials));
  }

  async function admitted(call: SyncCall | UnaryCall<SyncResponse>): Promise<FollowedReader> {
    try {
      const followed = await readerOf(call);
      assertSelected(
        textOf(call.metadata.get('flagd-selector')) ?? call.request.selector ?? '',
        followed.reader,
      );
      return followed;
    } catch (error) {
      throw await deps.refusal(call.getPeer(), error);
    }
  }

  function refusalOf(error: unknown): Refusal {
    if (error instanceof BrokerError) {
      return { code: STATUS_OF[error.code] ?? status.INTERNAL, details: error.message };
    }
    if (isRefusal(error)) return error;
    log.error({ err: error }, 'the sync of flagd failed');
    return { code: status.INTERNAL, details: 'Internal error of the broker.' };
  }

  /** @throws Refusal if there is no document, or it is too large */
  async function documentOf(followed: FollowedView, { environment }: DataReader): Promise<FlagdDocument> {
    const newest = followed.newest();
    const document = newest && (await documents.of(newest.view));
    if (document === null) {
      throw { code: status.UNAVAILABLE, details: 'The flags are not loaded yet. Connect again.' };
    }
    if (document.body.length <= MAX_DOCUMENT_BYTES) return document;
    log.error(
      { environment, bytes: document.body.length },
      'the definitions are too large for the sync of flagd',
    );
    throw {
      code: status.RESOURCE_EXHAUSTED,
      details: `The definitions have ${document.body.length} bytes; a message may have ${MAX_DOCUMENT_BYTES}. Read fewer namespaces, retire flags, or read them from /flagd/v1/${environment}.json.`,
    };
  }

  /** One document at a time: while a client takes one, the newest waits, and no other. */
  function push(call: SyncCall, reader: DataReader, followed: () => FollowedView): () => Promise<void> {
    let sentTag: string | null = null;
    let isDue = false;
    let isSending = false;
    return async () => {
      isDue = true;
      if (isSending) return;
      isSending = true;
      try {
        while (isDue && !call.cancelled && !call.destroyed) {
          isDue = false;
          const document = await documentOf(followed(), reader);
          if (document.tag === sentTag || call.cancelled || call.destroyed) continue;
          sentTag = document.tag;
          deps.read?.(reader, clock());
          await sent(call, { document, environment: reader.environment });
        }
      } finally {
        isSending = false;
      }
    };
  }

  function join(stream: OpenStream): void {
    open.add(stream);
    ticks ??= setInterval(() => {
      const nowMs = clock();
      for (const each of open) each.endIfDue(nowMs);
    }, TICK_MS).unref();
  }

  function leave(stream: OpenStream): void {
    open.delete(stream);
    if (open.size > 0 || ticks === null) return;
    clearInterval(ticks);
    ticks = null;
  }

  async function sync(call: SyncCall): Promise<void> {
    const { reader, endsAtMs, mayGoOn } = await admitted(call);
    if (call.cancelled) return;
    if (open.size >= deps.maxStreams) {
      throw {
        code: status.RESOURCE_EXHAUSTED,
        details: `At most ${deps.maxStreams} streams are served at once. Connect again later.`,
      };
    }
    const send = push(call, reader, () => followed);
    const followed = views.follow(reader.environment, reader.namespaces, () => {
      // What clients have is still good: they keep it until there is a document that they can take.
      send().catch((error: unknown) => refusalOf(error));
    });
    const stream: OpenStream = {
      endIfDue: (nowMs) => {
        if (nowMs < endsAtMs && mayGoOn()) return;
        stream.end({
          code: status.UNAUTHENTICATED,
          details: 'The token has ended. Connect again with a new one.',
        });
      },
      end: (refusal) => {
        leave(stream);
        followed.stop();
        refuse(call, refusal);
      },
    };
    join(stream);
    call.once('cancelled', () => {
      leave(stream);
      followed.stop();
    });
    await send().catch((error: unknown) => stream.end(refusalOf(error)));
  }

  async function fetchOnce(call: UnaryCall<SyncResponse>): Promise<SyncResponse> {
    const { reader } = await admitted(call);
    const followed = views.follow(reader.environment, reader.namespaces, () => undefined);
    try {
      const document = await documentOf(followed, reader);
      deps.read?.(reader, clock());
      return { document, environment: reader.environment };
    } finally {
      followed.stop();
    }
  }

  const answerOnce = (call: UnaryCall<SyncResponse>, answer: sendUnaryData<SyncResponse>): void => {
    fetchOnce(call).then(
      (response) => answer(null, response),
      (error: unknown) => answer(refusalOf(error)),
    );
  };

  return {
    SyncFlags: (call) => {
      // A client that leaves is no fault.
      call.on('error', () => undefined);
      sync(call).catch((error: unknown) => refuse(call, refusalOf(error)));
    },
    FetchAllFlags: answerOnce,
    GetMetadata: answerOnce,
    endAll: () => {
      for (const stream of open) {
        stream.end({ code: status.UNAVAILABLE, details: 'The broker stops. Connect again.' });
      }
    },
  };
}

/** Ends a stream with a status. */
function refuse(call: SyncCall, refusal: Refusal): void {
  if (!call.cancelled) call.emit('error', { ...refusal, metadata: new Metadata() });
}

const STATUS_OF: Readonly<Partial<Record<BrokerError['code'], status>>> = {
  unauthenticated: status.UNAUTHENTICATED,
  token_invalid: status.UNAUTHENTICATED,
  claims_incomplete: status.UNAUTHENTICATED,
  issuer_unavailable: status.UNAVAILABLE,
  flags_not_loaded: status.UNAVAILABLE,
  rate_limited: status.RESOURCE_EXHAUSTED,
  not_found: status.NOT_FOUND,
  invalid_request: status.INVALID_ARGUMENT,
};

function isRefusal(error: unknown): error is Refusal {
  return typeof error === 'object' && error !== null && 'details' in error && 'code' in error;
}

/** The one value of a header; two are none that could be meant. */
function textOf(values: readonly (string | Buffer)[]): string | undefined {
  return values.length === 0 ? undefined : values.join(', ');
}

/**
 * A selector names the environment of the reader, or nothing. Never an empty document in place of one that is not there.
 *
 * @throws BrokerError `not_found`, `invalid_request`
 */
function assertSelected(selector: string, { environment }: DataReader): void {
  if (selector === '') return;
  const [, key = 'source', value = ''] = /^(?:(\w+)=)?(.*)$/s.exec(selector) ?? [];
  if (key !== 'flagSetId' && key !== 'source') {
    throw new BrokerError('invalid_request', 'Select by flagSetId=<environment>, or by nothing.');
  }
  if (value === environment) return;
  throw new BrokerError(
    'not_found',
    'The caller reads another environment. Select it by flagSetId=<environment>, or use a token of the audience data:<environment>.',
  );
}

/** Sends a document, and waits until it has left, or nothing will. */
function sent(call: SyncCall, response: SyncResponse): Promise<void> {
  return new Promise((resolve) => {
    call.once('cancelled', resolve);
    call.write(response, () => {
      call.off('cancelled', resolve);
      resolve();
    });
  });
}
