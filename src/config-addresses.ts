import { z } from 'zod';

/**
 * True for a URL without a path. With a path, cookies with the prefix `__Host-` and the URLs under `/.well-known` would
 * not work.
 */
export function isOrigin(address: string): boolean {
  // A malformed URL is reported as a separate fault.
  if (!URL.canParse(address)) return true;
  const { origin, pathname, href } = new URL(address);
  return /^\/+$/.test(pathname) && href === `${origin}${pathname}`;
}

const proxySchema = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

/** True for an address or a network. Trusting all addresses would let every client set its own address. */
export function isProxy(text: string): boolean {
  return proxySchema.safeParse(text).success && !text.endsWith('/0');
}

/** True for the name of a log: like a URL without a scheme, in lower case so that it is written in one way only. */
export function isLogOrigin(name: string): boolean {
  return /^[a-z0-9._:-]+(?:\/[a-z0-9._-]+)*$/.test(name) && !name.includes('://');
}

/** A host name or an address in brackets or dots, with or without a port. */
const HOST = /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** True for what a `Host` header can name. */
export function isHost(text: string): boolean {
  return HOST.test(text);
}
