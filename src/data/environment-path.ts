import type { IncomingMessage } from 'node:http';

/**
 * Reads the environment off a path with one, for listeners that are asked before the list of routes.
 *
 * @param path the path of the route, with `{environment}` in it
 * @returns for a request: its environment; null if it is not for this route
 */
export function environmentInPath(path: string): (req: IncomingMessage) => string | null {
  const [head = '', tail = ''] = path.split('{environment}');
  return ({ method, url = '' }) => {
    if (method !== 'GET' && method !== 'HEAD') return null;
    const [asked = ''] = url.split('?', 1);
    if (!asked.startsWith(head) || !asked.endsWith(tail)) return null;
    const environment = asked.slice(head.length, -tail.length);
    // What would have to be decoded is no environment.
    return /^[\w.-]+$/.test(environment) ? environment : null;
  };
}
