import type { IncomingMessage } from 'node:http';
import { BrokerError } from '../errors.ts';
import { canonicalAddress } from './address-block.ts';

/*
 * What is judged before any route: whether the message has one meaning, and whether it is meant for this broker. A proxy
 * that reads a request differently than the broker does would apply its own rules to another request.
 */

/**
 * The fields that have one value, and whose second line Node would drop or join. Two DPoP proofs are refused as RFC 9449
 * section 4.3 asks, and the other fields that the broker reads are lists.
 */
const SINGLE_FIELDS: readonly string[] = [
  'authorization',
  'content-length',
  'content-type',
  'cookie',
  'host',
  'idempotency-key',
  'origin',
  'sec-fetch-site',
  'x-api-key',
];

/** Each of them as one bit. */
const BITS: ReadonlyMap<string, number> = new Map(SINGLE_FIELDS.map((name, place) => [name, 1 << place]));

/** Host and port, without user information. @see RFC 3986 section 3.2 */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::(\d{0,5}))?$/i;

/** The absolute form of a target, as a client sends it to a proxy. @see RFC 9112 section 3.2.2 */
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)([^#]*)$/i;

const LOOPBACK_ADDRESS = /^(?:127(?:\.\d{1,3}){3}|::1)$/;
const LOOPBACK_NAME = 'localhost';

/** What the broker is called. */
export interface ServedHosts {
  /** The URL at which others reach the broker. */
  publicUrl: string;
  /** Other names and addresses: with a port exactly that one, otherwise any. */
  hosts: readonly string[];
}

/** A host in lower case and its port; null if there is none. */
interface Authority {
  host: string;
  port: string | null;
}

/**
 * Creates the check of a request before it is routed. A target in absolute form is replaced by its path, and `Host` by
 * its authority.
 *
 * Besides `publicUrl` and `hosts`, the address at which the connection arrived is served: probes and scrapers use it.
 *
 * @returns a function that answers null, or why the request is refused: `ambiguous_request`, after which the connection
 *   MUST be closed, or `misdirected_request`
 * @see RFC 9112 sections 3.2 and 6.1, RFC 9110 sections 5.3 and 7.4
 */
export function createAdmission({
  publicUrl,
  hosts,
}: ServedHosts): (req: IncomingMessage) => BrokerError | null {
  const { host, protocol } = new URL(publicUrl);
  const own = readAuthority(host);
  const ownDefault = protocol === 'https:' ? '443' : '80';
  const listed = hosts.map(readAuthority);
  /** The host that was last found to be a name of the broker: nearly all requests have the same one. */
  let known: string | null = null;

  function isNamed({ host, port }: Authority): boolean {
    if (own?.host === host && own.port === (port === ownDefault ? null : port)) return true;
    return listed.some((one) => one?.host === host && (one.port === null || one.port === port));
  }

  function isArrivedAt({ host }: Authority, { socket }: IncomingMessage): boolean {
    const arrivedAt = canonicalAddress(socket.localAddress ?? '');
    if (arrivedAt === '') return false;
    return (
      canonicalAddress(host) === arrivedAt || (host === LOOPBACK_NAME && LOOPBACK_ADDRESS.test(arrivedAt))
    );
  }

  return (req) => {
    const fault = framingFault(req) ?? repeatedField(req);
    if (fault !== null) return ambiguous(fault);
    const target = req.url ?? '';
    if (target.includes('#')) return ambiguous('Send the request target without a fragment.');
    if (!target.startsWith('/') && target !== '*') {
      const absolute = ABSOLUTE_FORM.exec(target);
      if (absolute === null)
        return ambiguous('Send the request target as a path, or as an http or https URL.');
      const [, authority = '', path = ''] = absolute;
      req.url = path.startsWith('/') ? path : `/${path}`;
      req.headers.host = authority;
    }
    const { host } = req.headers;
    // Only HTTP/1.0 may omit it, as some probes do.
    if (host === undefined || host === known) return null;
    const authority = readAuthority(host);
    if (authority === null) return ambiguous('Host must be a name or an address, with or without a port.');
    if (isNamed(authority)) {
      known = host;
      return null;
    }
    return isArrivedAt(authority, req) ? null : misdirected(publicUrl);
  };
}

function readAuthority(text: string): Authority | null {
  const [, host, port = ''] = AUTHORITY.exec(text) ?? [];
  return host === undefined ? null : { host: host.toLowerCase(), port: port === '' ? null : port };
}

/** Node frames the body by any Transfer-Encoding that ends in `chunked`, also where other servers ignore the field. */
function framingFault({ headers, httpVersion }: IncomingMessage): string | null {
  const coding = headers['transfer-encoding'];
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'Use HTTP/1.1.';
  if (coding === undefined) return null;
  if (httpVersion === '1.0') return 'Transfer-Encoding is not part of HTTP/1.0; send Content-Length.';
  return coding.toLowerCase() === 'chunked' ? null : 'Send Transfer-Encoding once, as "chunked".';
}

function repeatedField({ rawHeaders }: IncomingMessage): string | null {
  let seen = 0;
  for (let place = 0; place < rawHeaders.length; place += 2) {
    const name = (rawHeaders[place] ?? '').toLowerCase();
    const bit = BITS.get(name) ?? 0;
    if ((seen & bit) !== 0) return `Send ${name} once: of two lines, it is not clear which one counts.`;
    seen |= bit;
  }
  return null;
}

function ambiguous(detail: string): BrokerError {
  return new BrokerError('ambiguous_request', detail);
}

function misdirected(publicUrl: string): BrokerError {
  return new BrokerError(
    'misdirected_request',
    `Send the request to ${publicUrl}. If this host is the broker, too, its operator lists it under "hosts" in the configuration.`,
  );
}
