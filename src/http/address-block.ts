import { isIPv4, isIPv6 } from 'node:net';

/** IPv4 in the last two groups of `::ffff:0:0/96`, as a dual-stack socket reports it. @see RFC 4291 section 2.5.5.2 */
const MAPPED_IPV4 = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/**
 * The canonical form of an IP address: an IPv4-mapped IPv6 address as the IPv4 address, any other IPv6 address as RFC 5952
 * writes it, without its zone. Brackets around an IPv6 address are accepted.
 *
 * @returns the empty string for text that is no address
 */
export function canonicalAddress(text: string): string {
  if (isIPv4(text)) return text;
  const bare = text.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  if (!isIPv6(bare)) return '';
  const canonical = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED_IPV4.exec(canonical) ?? [];
  if (high === undefined || low === undefined) return canonical;
  return [high, low]
    .map((group) => Number.parseInt(group, 16))
    .map((group) => `${group >> 8}.${group & 0xff}`)
    .join('.');
}

/**
 * The unit that counts as one client: an IPv4 address, or the /64 network of an IPv6 address, because one client
 * usually controls a whole /64. Other text, such as an obfuscated identifier of a proxy, counts as itself.
 *
 * @param address an address without port, as {@link canonicalAddress} or a proxy gives it
 */
export function addressBlock(address: string): string {
  const canonical = canonicalAddress(address);
  if (canonical === '') return address;
  return isIPv4(canonical) ? canonical : `${network(canonical)}::/64`;
}

/** The first four groups of a canonical IPv6 address. */
function network(address: string): string {
  const [head = '', tail = ''] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const gap = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...gap, ...right].slice(0, 4).join(':');
}
