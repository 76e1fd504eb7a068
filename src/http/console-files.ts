import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { tagOfText } from '../strong-tag.ts';
import { isNoneMatch } from './none-match.ts';
import type { RequestContext } from './request-context.ts';

/*
 * The files of the web console (`src/console`), which is built before it is served. They have no power: each page calls the
 * same API as every other client, with the session of its person. The files are read once, so no path of a request ever
 * reaches the file system.
 */

/** The first segments of the paths that show the console, besides `/`. No call of the list begins with one of them. */
export const CONSOLE_PAGES = [
  'requests',
  'propose',
  'flags',
  'organizations',
  'policy',
  'audit',
  'incident',
  'access',
  'setup',
  'api',
] as const;

/** Where the names of files are hashes of their content. */
const ASSETS = '/assets/';

/** The manifest that the build leaves beside its files. */
export const CONSOLE_MANIFEST = '.vite/manifest.json';

/**
 * What the pages may load and run: files of this origin, and nothing else. Scripts cannot turn text into markup or code.
 *
 * @see Content Security Policy Level 3; Trusted Types
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  html: 'text/html; charset=utf-8',
};

/** Serves a request for the console, or answers false and leaves it untouched. */
export type ServeConsole = (req: IncomingMessage, res: ServerResponse, context: RequestContext) => boolean;

/** The folder of the built console: in the package beside the compiled code, in a checkout where `make` builds it; or null. */
export function findConsole(): string | null {
  const folders = ['../console/', '../../.cache/console/'];
  const found = folders.map((folder) => fileURLToPath(new URL(folder, import.meta.url)));
  return found.find((folder) => existsSync(join(folder, CONSOLE_MANIFEST))) ?? null;
}

/** Whether the console has the path. */
export function isConsolePath(path: string): boolean {
  const [, first = ''] = path.split('/', 2);
  return path === '/' || path.startsWith(ASSETS) || (CONSOLE_PAGES as readonly string[]).includes(first);
}

/** Reads the built console. @param folder null if there is none: then nothing is served */
export function serveConsole(folder: string | null): ServeConsole {
  if (folder === null) return () => false;
  const files = readFiles(folder);
  const page = fileAt(folder, 'index.html');
  const pageHeaders = {
    'Content-Security-Policy': CONTENT_SECURITY_POLICY,
    'Referrer-Policy': 'same-origin',
    // Kept, but never shown without asking: the next version has other files.
    'Cache-Control': 'no-cache',
  };
  const assetHeaders = { 'Cache-Control': 'public, max-age=31536000, immutable' };

  return (req, res, context) => {
    const { method, url = '' } = req;
    if (method !== 'GET' && method !== 'HEAD') return false;
    const [path = ''] = url.split('?', 1);
    if (!isConsolePath(path)) return false;
    const isAsset = path.startsWith(ASSETS);
    const file = isAsset ? files.get(path) : page;
    if (file === undefined) return false;
    context.route = isAsset ? `${ASSETS}{file}` : '/';
    const headers = isAsset ? assetHeaders : pageHeaders;
    send(req, res, file, headers).catch((error: Error) => res.destroy(error));
    return true;
  };
}

/** A file as it is served. */
interface ServedFile {
  type: string;
  body: Buffer;
  tag: string;
  /** Compressed when it is first asked for. */
  gzipped: Promise<Buffer> | null;
}

function fileAt(folder: string, name: string): ServedFile {
  const body = readFileSync(join(folder, name));
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream';
  return { type, body, tag: tagOfText(body.toString('base64')), gzipped: null };
}

/** A part of the manifest. @see the guide of Vite, "Backend Integration" */
type ManifestChunk = Readonly<{ file: string; css?: readonly string[]; assets?: readonly string[] }>;

function readFiles(folder: string): ReadonlyMap<string, ServedFile> {
  const manifest = JSON.parse(readFileSync(join(folder, CONSOLE_MANIFEST), 'utf8')) as Record<
    string,
    ManifestChunk
  >;
  const names = Object.values(manifest).flatMap(({ file, css = [], assets = [] }) => [
    file,
    ...css,
    ...assets,
  ]);
  return new Map([...new Set(names)].map((name) => [`/${name}`, fileAt(folder, name)]));
}

const compress = promisify(gzip);

async function send(
  { method, headers }: IncomingMessage,
  res: ServerResponse,
  file: ServedFile,
  own: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, value] of Object.entries(own)) res.setHeader(name, value);
  res.setHeader('Vary', 'Accept-Encoding');
  const isGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:[\s,]|$))/i.test(String(headers['accept-encoding'] ?? ''));
  // Each representation has its own tag. RFC 9110 section 8.8.3.3
  const tag = isGzip ? file.tag.replace(/"$/, '.gz"') : file.tag;
  res.setHeader('ETag', tag);
  if (isNoneMatch(headers['if-none-match'], tag)) {
    res.statusCode = 304;
    res.end();
    return;
  }
  if (isGzip) file.gzipped ??= compress(file.body, { level: 9 });
  const body = isGzip && file.gzipped !== null ? await file.gzipped : file.body;
  if (isGzip) res.setHeader('Content-Encoding', 'gzip');
  res.setHeader('Content-Type', file.type);
  res.setHeader('Content-Length', body.length);
  res.end(method === 'HEAD' ? undefined : body);
}
