import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv4 } from 'node:net';
import { canonicalAddress } from './address-block.ts';

/** The headers in which proxies pass addresses on. */
export const PROXY_HEADERS = ['X-Forwarded-For', 'Forwarded'] as const;

/** Which proxies are believed, and where they write the address that they have seen. */
export interface ProxyTrust {
  /** Addresses and networks. */
  trusted: readonly string[];
  /** The one header that these proxies write; the other one is whatever the client sent. */
  header: (typeof PROXY_HEADERS)[number];
}

/** The port of a node: digits, or an obfuscated one. @see RFC 7239 section 6.3 */
const PORT = /:(?:\d{1,5}|_[\w.-]+)$/;

/** A quoted string, or a token, after `for=`. @see RFC 7239 section 4 */
const FOR = /^\s*for\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))\s*$/i;

/** Commas and semicolons outside of quoted strings. */
const COMMA = /,(?=(?:[^"\\]|\\.|"(?:[^"\\]|\\.)*")*$)/;
const SEMICOLON = /;(?=(?:[^"\\]|\\.|"(?:[^"\\]|\\.)*")*$)/;

/**
 * Creates the function that says whose address a request comes from: that of the connection, or behind trusted proxies the
 * last one that such a proxy has seen and that is not itself a trusted proxy. What stands before it is the client's word.
 *
 * @returns a function that answers a canonical address without port. Where a proxy names none (`unknown`, or an obfuscated
 *   identifier, which may be another one for each request), that of the proxy
 * @see RFC 7239 sections 5.2, 6 and 7.4
 */
export function createClientAddress({ trusted, header }: ProxyTrust): (req: IncomingMessage) => string {
  const proxies = blockListOf(trusted);
  const name = header.toLowerCase();
  const isTrusted = (address: string): boolean =>
    address !== '' && proxies.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');

  return ({ socket, headers }) => {
    let client = canonicalAddress(socket.remoteAddress ?? '');
    if (!isTrusted(client)) return client;
    const nodes = nodesOf(header, String(headers[name] ?? ''));
    for (const node of nodes.toReversed()) {
      const address = canonicalAddress(node) || canonicalAddress(node.replace(PORT, ''));
      if (address === '') return client;
      client = address;
      if (!isTrusted(client)) break;
    }
    return client;
  };
}

function blockListOf(trusted: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of trusted) {
    const [text = '', prefix] = entry.split('/');
    const address = canonicalAddress(text);
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    // A network of IPv4-mapped addresses is one of IPv4 addresses.
    const mappedBits = family === 'ipv4' && text.includes(':') ? 96 : 0;
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Math.max(0, Number(prefix) - mappedBits), family);
  }
  return list;
}

/** The nearest proxies are at the end. Splitting takes quadratic time in the length. */
const READ_CHARACTERS = 2000;

/** The nodes that proxies have added, in their order. */
function nodesOf(header: ProxyTrust['header'], value: string): string[] {
  if (value.trim() === '') return [];
  if (header === 'X-Forwarded-For')
    return value.split(',').map((node) => node.trim().replace(/^"(.*)"$/, '$1'));
  return value.slice(-READ_CHARACTERS).split(COMMA).map(forOf);
}

/** The `for` of one element of `Forwarded`; the empty text if it has none. */
function forOf(element: string): string {
  for (const pair of element.split(SEMICOLON)) {
    const [, quoted, token] = FOR.exec(pair) ?? [];
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/g, '$1');
    if (token !== undefined) return token;
  }
  return '';
}
