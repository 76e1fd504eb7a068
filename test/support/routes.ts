import { Router } from 'express';
import { vi } from 'vitest';

/** A route as the broker registers it. */
export interface RegisteredRoute {
  method: string;
  path: string;
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;

/** Runs what starts a broker, and hears of each route that it registers. */
export async function registeredRoutes(start: () => Promise<unknown>): Promise<RegisteredRoute[]> {
  const found: RegisteredRoute[] = [];
  const prototype = Router.prototype as Record<(typeof METHODS)[number], (...args: unknown[]) => unknown>;
  const spies = METHODS.map((method) => {
    const register = prototype[method];
    return vi.spyOn(prototype, method).mockImplementation(function (this: unknown, path, ...handlers) {
      found.push({ method: method.toUpperCase(), path: String(path) });
      return register.call(this, path, ...handlers);
    });
  });
  try {
    await start();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return found;
}
