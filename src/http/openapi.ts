import { z } from 'zod';
import {
  createDocument,
  type ZodOpenApiObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiResponsesObject,
} from 'zod-openapi';
import { ERROR_SCHEMAS, errorsOf, HEADERS, type HeaderName, headers } from './openapi-answers.ts';
import {
  answerTypeOf,
  bodyTypeOf,
  type CallerKind,
  isWrite,
  queryOf,
  type RouteShape,
  TAGS,
} from './route.ts';

/**
 * The version of the API. A change that breaks clients raises the first number; the check of
 * `docs/openapi.json` (tools/oasdiff) refuses it otherwise.
 */
export const API_VERSION = '3.0.0';

/**
 * The document as text, built when it is first asked for. Building it takes a tenth of a second of processor time, so it
 * happens once.
 */
export function openApiText(routes: () => readonly RouteShape[]): () => string {
  let text: string | undefined;
  return () => {
    text ??= JSON.stringify(openApiDocument(routes()));
    return text;
  };
}

/** The OpenAPI 3.1 document of the list of routes. Requests are strict, answers are open to new members. */
export function openApiDocument(routes: readonly RouteShape[]): object {
  const paths: NonNullable<ZodOpenApiObject['paths']> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  const document = createDocument(
    {
      openapi: '3.1.1',
      info: {
        title: 'Countersign',
        version: API_VERSION,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'The broker that serves this document.' }],
      tags: TAGS.map((name) => ({ name, description: TAG_DESCRIPTIONS[name] })),
      paths,
      components: {
        schemas: ERROR_SCHEMAS,
        headers: HEADERS,
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'An ID token of a configured provider, or a token from /oauth/token.',
          },
          dpop: {
            type: 'http',
            scheme: 'DPoP',
            description: 'A key-bound token with a proof of its key (RFC 9449).',
          },
          apiKey: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: 'The same token, for OFREP providers that send it in this header.',
          },
          session: {
            type: 'apiKey',
            in: 'cookie',
            name: '__Host-countersign-session',
            description: 'A browser session. Changes are accepted only from pages of this origin.',
          },
        },
      },
    },
    {
      override: ({ jsonSchema, io }) => {
        if (io === 'output' && jsonSchema.additionalProperties === false)
          delete jsonSchema.additionalProperties;
        // `readOnly` has another meaning in OpenAPI than in TypeScript.
        delete jsonSchema.readOnly;
      },
    },
  );
  return explodeLists(document);
}

const DESCRIPTION = [
  'A policy-as-code broker: the only principal that may write feature flags.',
  'Every answer has an `X-Request-Id`, as in the log and in records. While freezes are active, answers to callers who may read them name them in `Countersign-Freeze`.',
  'Answers to calls that were recorded, also refusals other than `not_found`, have the place of the last record in the decision log in `Countersign-Log-Place`, such as `1234;epoch=1`.',
  'Answers may get new members, and lists of kinds new kinds; clients must ignore those that they do not know. Requests with unknown members are refused.',
].join('\n\n');

const TAG_DESCRIPTIONS: Readonly<Record<(typeof TAGS)[number], string>> = {
  Requests: 'Change requests: propose, vote, apply.',
  Flags: 'Flags for people and pipelines.',
  Evaluation: 'Flags for applications (OFREP 0.3.0).',
  Emergency: 'Freezes, break-glass sessions and revocations.',
  Policy: 'The active policy, and those that could become active.',
  Audit: 'The decision log and access reviews.',
  'Who is calling': 'The caller, its sessions, delegations and keys.',
  Tokens: 'Token exchange, introspection, revocation and metadata.',
  'Signing in with a browser': 'Pages for signing in and out.',
  'Provisioning (SCIM 2.0)': 'Identity providers disable and enable persons here.',
  Operating: 'Health, metrics and this document.',
};

function operationOf(route: RouteShape): ZodOpenApiOperationObject {
  const { name, tag, summary, params, operation, since, deprecated, spans } = route;
  const asked = operation === null ? [] : [operation].flat();
  return {
    operationId: name,
    tags: [tag],
    summary: `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    'x-policy-operations': asked,
    'x-since': since,
    // OpenAPI cannot say that a parameter has several segments.
    ...(spans === undefined ? {} : { 'x-spans-segments': spans }),
    ...(deprecated === undefined ? {} : { deprecated: true, description: `Use ${deprecated.instead}.` }),
    security: securityOf(route),
    requestParams: {
      ...(params === undefined ? {} : { path: params }),
      query: queryOf(route),
      header: headerParameters(route),
    },
    ...bodyOf(route),
    responses: { ...successesOf(route), ...errorsOf(route) },
  };
}

const SECURITY: Readonly<Record<CallerKind | 'none', readonly string[]>> = {
  any: ['bearer', 'dpop', 'session'],
  session: ['session'],
  data: ['bearer', 'dpop', 'apiKey'],
  none: [],
};

function securityOf({ caller, mayHaveSession }: RouteShape): Record<string, string[]>[] {
  const schemes = mayHaveSession === true ? SECURITY.session : SECURITY[caller ?? 'none'];
  const required = schemes.map((scheme) => ({ [scheme]: [] }));
  return mayHaveSession === true ? [...required, {}] : required;
}

function headerParameters({ idempotent, ifMatch, ifNoneMatch }: RouteShape): z.ZodObject {
  const key = z.string().optional().meta({ description: 'Makes a retry safe: it gets the first answer.' });
  const etag = z.string().optional().meta({ description: 'The ETag of a former answer.' });
  const match = z.string().optional().meta({
    description:
      'The ETag that was read, or `*`. Required without `digest` in the body; weak ETags never match.',
  });
  return z.object({
    ...(idempotent === true ? { 'Idempotency-Key': key } : {}),
    ...(ifMatch === true ? { 'If-Match': match } : {}),
    ...(ifNoneMatch === true ? { 'If-None-Match': etag } : {}),
  });
}

function bodyOf(route: RouteShape): Pick<ZodOpenApiOperationObject, 'requestBody'> {
  const { body } = route;
  if (body === undefined || !isWrite(route)) return {};
  return {
    requestBody: {
      required: !body.safeParse(undefined).success,
      content: { [bodyTypeOf(route)]: { schema: body } },
    },
  };
}

/** The same for every list. */
const nextCursor = z.string().nullable().meta({
  description:
    'The cursor of the next page; null at the end. A page may have fewer items than `limit`, even none, and a cursor: then the list goes on.',
});

function successesOf(route: RouteShape): ZodOpenApiResponsesObject {
  const { success, answer, also = {}, paged } = route;
  const whole = paged === true ? z.object({ items: z.array(answer), next_cursor: nextCursor }) : answer;
  const created = {
    ...(route.etag === undefined ? {} : { ETag: 'ETag' }),
    ...(route.location === undefined ? {} : { Location: 'Location' }),
  } as const satisfies Readonly<Record<string, HeaderName>>;
  const shown = {
    ...(route.ifNoneMatch === undefined ? {} : { ETag: 'ETag' }),
    ...(paged === true ? { Link: 'Link' } : {}),
    ...(route.idempotent === true ? { 'Idempotent-Replayed': 'Replayed' } : {}),
  } as const satisfies Readonly<Record<string, HeaderName>>;
  return Object.fromEntries(
    [[success, whole] as const, ...Object.entries(also)].map(([status, schema]) => [
      String(status),
      {
        description: STATUS_TEXTS[Number(status)] ?? 'Done.',
        headers: headers({
          ...shown,
          ...(Number(status) === success ? created : {}),
          ...(Number(status) === 303 ? { Location: 'Location' } : {}),
        }),
        ...(isEmpty(schema) ? {} : { content: { [answerTypeOf(route)]: { schema } } }),
      },
    ]),
  );
}

function isEmpty(schema: z.ZodType): boolean {
  return schema instanceof z.ZodUndefined;
}

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  200: 'Done.',
  201: 'Created.',
  204: 'Done; without a body.',
  303: 'Continue at `Location`.',
  304: 'Not modified.',
};

/** Lists in queries are separated by commas. */
function explodeLists(document: object): object {
  const json = JSON.stringify(document, (_key, value: unknown) =>
    isListParameter(value) ? { ...value, style: 'form', explode: false } : value,
  );
  return JSON.parse(json) as object;
}

function isListParameter(value: unknown): value is object {
  const { in: place, schema } = (value ?? {}) as { in?: unknown; schema?: { type?: unknown } };
  return place === 'query' && schema?.type === 'array';
}
