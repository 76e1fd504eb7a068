import { readFileSync } from 'node:fs';
import type { RequestListener, ServerResponse } from 'node:http';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { isConsolePath } from '../../src/http/console-files.ts';

/*
 * Judges answers by the committed OpenAPI document alone. Clients must accept unknown members; here every member must be
 * in the document, so that none is sent by accident.
 */

type Json = Readonly<Record<string, unknown>>;

interface Response {
  headers?: Readonly<Record<string, unknown>>;
  content?: Readonly<Record<string, { schema: Json }>>;
}

interface Operation {
  operationId: string;
  'x-spans-segments'?: string;
  responses: Readonly<Record<string, Response>>;
}

/** An answer as it was sent. */
export interface SentAnswer {
  method: string;
  /** Path and query. */
  target: string;
  status: number;
  contentType: string | undefined;
  /** Whether it has a header of that name. */
  has(header: string): boolean;
  body: string;
}

/** Refuses members that the document does not describe. */
function close(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(close);
  if (typeof value !== 'object' || value === null) return value;
  const closed = Object.fromEntries(Object.entries(value).map(([name, member]) => [name, close(member)]));
  // Clients must expect more codes; the broker sends none that is not declared.
  if (Array.isArray(closed['x-extensible-enum'])) return { enum: closed['x-extensible-enum'] };
  const isObjectSchema = closed.type === 'object' && closed.properties !== undefined;
  return isObjectSchema && closed.additionalProperties === undefined
    ? { ...closed, additionalProperties: false }
    : closed;
}

const text = readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8');
const document = close(JSON.parse(text)) as { paths: Readonly<Record<string, Record<string, Operation>>> };
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, 'openapi');

const templates = Object.entries(document.paths)
  .map(([path, operations]) => {
    const [spanning] = Object.values(operations).flatMap((operation) => operation['x-spans-segments'] ?? []);
    const pattern = path
      .replaceAll('.', '\\.')
      .replace(`{${spanning}}`, '.+')
      .replaceAll(/\{\w+\}/g, '[^/]+');
    return { path, pattern: new RegExp(`^${pattern}$`) };
  })
  .sort(
    // A path without a parameter is meant before one with it.
    ({ path: one }, { path: other }) => one.split('{').length - other.split('{').length,
  );
const validators = new Map<string, ValidateFunction>();

function validatorOf(pointer: string): ValidateFunction {
  const known = validators.get(pointer);
  if (known !== undefined) return known;
  const validate = ajv.compile({ $ref: `openapi#${pointer}` });
  validators.set(pointer, validate);
  return validate;
}

function pointerOf(...parts: readonly string[]): string {
  return parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Headers that an answer has whenever they are declared; the others depend on the request. */
const ALWAYS_SENT = ['ETag', 'Location', 'WWW-Authenticate'];

/** What is wrong with an answer; null if the document describes it. */
export function faultOf({ method, target, status, contentType, has, body }: SentAnswer): string | null {
  const [path = ''] = target.split('?');
  // Files, which are in no document.
  if (isConsolePath(path) && !contentType?.includes('json')) return null;
  const verb = method.toLowerCase();
  const template = templates.find(({ path: own, pattern }) => own === path || pattern.test(path))?.path;
  const operation = template === undefined ? undefined : document.paths[template]?.[verb];
  if (template === undefined || operation === undefined) {
    return [400, 404, 405, 413, 415, 421, 429].includes(status) || verb === 'head' || verb === 'options'
      ? null
      : `is not in the document, but has the status ${status}`;
  }
  const response = operation.responses[status];
  if (response === undefined) return `has the status ${status}, which is not declared: ${body.slice(0, 300)}`;
  const { content } = response;
  const missing = ALWAYS_SENT.filter((header) => response.headers?.[header] !== undefined && !has(header));
  if (missing.length > 0) return `lacks ${missing.join(', ')}`;
  if (content === undefined) return body === '' ? null : 'has a body, which is not declared';
  const type = contentType?.split(';')[0] ?? '';
  const media = content[type];
  if (media === undefined) return `has the content type ${type}, not ${Object.keys(content).join(' or ')}`;
  if (!type.endsWith('json')) return null;
  const validate = validatorOf(
    pointerOf('paths', template, verb, 'responses', String(status), 'content', type, 'schema'),
  );
  if (validate(JSON.parse(body))) return null;
  return `does not match: ${ajv.errorsText(validate.errors)} in ${body.slice(0, 1000)}`;
}

/** Watches every answer of a server. */
export interface AnswerWatch {
  observe: RequestListener;
  /** How many answers were judged. */
  count(): number;
  /** @throws Error if an answer was not as the document says */
  assertDeclared(): void;
}

export function watchAnswers(): AnswerWatch {
  const faults: string[] = [];
  let judged = 0;
  return {
    observe: (req, res) => {
      const body = collect(res);
      const written = writtenHeaders(res);
      res.once('finish', () => {
        judged += 1;
        // Express shortens the URL below a prefix.
        const { method = '', url = '', originalUrl = url } = req as typeof req & { originalUrl?: string };
        const type = written.get('Content-Type') ?? res.getHeader('content-type');
        const fault = faultOf({
          method,
          target: originalUrl,
          status: res.statusCode,
          contentType: typeof type === 'string' ? type : undefined,
          has: (header) => res.hasHeader(header) || written.has(header),
          body: body(),
        });
        if (fault !== null) faults.push(`${method} ${originalUrl} ${fault}`);
      });
    },
    count: () => judged,
    assertDeclared: () => {
      if (faults.length > 0) {
        throw new Error(
          `answers that docs/openapi.json does not declare:\n${faults.slice(0, 20).join('\n')}`,
        );
      }
    },
  };
}

/** The headers that are given to `writeHead` as a flat list. */
function writtenHeaders(res: ServerResponse): Map<string, string> {
  const { writeHead } = res;
  const written = new Map<string, string>();
  res.writeHead = ((...parts: [number, ...unknown[]]) => {
    const headers = parts.at(-1);
    if (Array.isArray(headers)) {
      for (let place = 0; place < headers.length; place += 2) {
        written.set(String(headers[place]), String(headers[place + 1]));
      }
    }
    return writeHead.apply(res, parts as never);
  }) as typeof writeHead;
  return written;
}

/** Keeps what is written to a response. */
function collect(res: ServerResponse): () => string {
  const chunks: Buffer[] = [];
  const keep = (chunk: unknown): void => {
    if (typeof chunk === 'string') chunks.push(Buffer.from(chunk));
    else if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  };
  const { write, end } = res;
  res.write = ((...parts: Parameters<typeof write>) => {
    keep(parts[0]);
    return write.apply(res, parts);
  }) as typeof write;
  res.end = ((...parts: Parameters<typeof end>) => {
    keep(parts[0]);
    return end.apply(res, parts);
  }) as typeof end;
  return () => Buffer.concat(chunks).toString('utf8');
}
