import { z } from 'zod';

/**
 * True for an address without a path. Under one, cookies with the prefix `__Host-` and the addresses that are published
 * under `/.well-known` would not work.
 */
export function isOrigin(address: string): boolean {
  // What is no address at all has a fault of its own.
  if (!URL.canParse(address)) return true;
  const { origin, pathname, href } = new URL(address);
  return /^\/+$/.test(pathname) && href === `${origin}${pathname}`;
}

const proxySchema = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);

/** True for an address or a network. To trust all of them would be to believe what everybody says of themselves. */
export function isProxy(text: string): boolean {
  return proxySchema.safeParse(text).success && !text.endsWith('/0');
}
