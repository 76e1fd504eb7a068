import { isIPv4, isIPv6 } from 'node:net';

/** `1.2.3.4` with a port, as some proxies write it. */
const IPV4_WITH_PORT = /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/;

/** `[2001:db8::1]`, with or without a port. */
const BRACKETED_IPV6 = /^\[([^\]]+)\](?::\d{1,5})?$/;

/** An IPv4-mapped IPv6 address, as a dual-stack socket reports it. */
const MAPPED_IPV4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

/**
 * The unit that counts as one client: an IPv4 address, or the /64 network of an IPv6 address, because one client
 * usually controls a whole /64. Other text counts as itself.
 */
export function addressBlock(shown: string): string {
  const address = IPV4_WITH_PORT.exec(shown)?.[1] ?? BRACKETED_IPV6.exec(shown)?.[1] ?? shown;
  if (isIPv4(address)) return address;
  const mapped = MAPPED_IPV4.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  return isIPv6(address) ? `${network(address)}::/64` : address;
}

/** The first four groups in canonical form. */
function network(address: string): string {
  const [head = '', tail] = address.split('::');
  const left = groupsOf(head);
  const right = tail === undefined ? [] : groupsOf(tail);
  const gap = Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(gap).fill('0'), ...right].slice(0, 4);
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':');
}

/** A trailing IPv4 address stands for two groups. They are never among the first four, so their value is irrelevant. */
function groupsOf(part: string): string[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}
