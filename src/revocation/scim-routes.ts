import type { ErrorRequestHandler, Response } from 'express';
import { z } from 'zod';
import type { Call } from '../decide/control.ts';
import { type Given, type Reply, routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { type BrokerError, PROBLEMS } from '../errors.ts';
import { logFailure, toBrokerError } from '../http/problem.ts';
import { GOVERNED_READ, GOVERNED_WRITE, noContent, PUBLIC } from '../http/route.ts';
import type { Logger } from '../logger.ts';
import { type PersonState, setPersonState } from './provisioning.ts';
import {
  ERROR_SCHEMA,
  LIST_SCHEMA,
  parsePatch,
  parseUser,
  ScimFault,
  scimTypeOf,
  type WantedUser,
} from './scim-message.ts';
import {
  type ProviderConfig,
  patchBodySchema,
  providerConfigSchema,
  type ScimUser,
  userBodySchema,
  userListSchema,
  userQuerySchema,
  userSchema,
} from './scim-schemas.ts';
import { findKnown, listKnown, personOf, personOfId, stateOf, toUser, type UserDeps } from './scim-users.ts';

/** The dependencies of {@link scimRoutes}. */
export type ScimRoutesDeps = UserDeps;

const userId = z.object({ id: z.string() });

const { route } = routesFor<ScimRoutesDeps>({
  tag: 'Provisioning (SCIM 2.0)',
  format: 'scim',
  since: '1.0',
});

/**
 * The part of SCIM 2.0 that identity providers need to disable and enable persons.
 *
 * A user is a human; its id is the human's canonical name. No profiles are stored, so a POST stores nothing: every valid
 * name is a user, whether or not that person has ever signed in.
 *
 * @see RFC 7643, RFC 7644
 */
export const scimRoutes = [
  route({
    name: 'getScimConfig',
    operation: null,
    method: 'GET',
    path: '/scim/v2/ServiceProviderConfig',
    summary: 'what is supported',
    caller: null,
    outcomes: PUBLIC,
    success: 200,
    answer: providerConfigSchema,
    handle: async ({ issuer }) => ({ body: providerConfig(issuer) }),
  }),
  route({
    name: 'listScimUsers',
    operation: 'principal.read',
    method: 'GET',
    path: '/scim/v2/Users',
    summary: 'find a user',
    caller: 'any',
    outcomes: GOVERNED_READ,
    query: userQuerySchema,
    success: 200,
    answer: userListSchema,
    handle: async (deps, { call, query: { filter, ...asked } }) => {
      await assertReader(deps, call);
      const known = (await listKnown(deps)).filter(({ state }) => state !== 'deleted');
      const found = filter === undefined ? known : await findKnown(deps, filter, known);
      // Values out of range mean the nearest one. RFC 7644 section 3.4.2.4
      const startIndex = Math.max(asked.startIndex, 1);
      const count = Math.min(Math.max(asked.count, 0), MAX_COUNT);
      const page = found.slice(startIndex - 1, startIndex - 1 + count);
      const body = {
        schemas: [LIST_SCHEMA],
        totalResults: found.length,
        startIndex,
        itemsPerPage: page.length,
        Resources: page.map((user) => toUser(deps, user)),
      };
      return { body };
    },
  }),
  route({
    name: 'createScimUser',
    operation: ['principal.read', 'principal.disable', 'principal.enable'],
    method: 'POST',
    path: '/scim/v2/Users',
    summary: 'link a user; stores nothing for an active one',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    body: userBodySchema,
    success: 201,
    answer: userSchema,
    location: ({ meta }) => meta.location,
    errors: ['state_conflict'],
    handle: async (deps, { call, body, write }) => {
      const { naming } = deps;
      await assertReader(deps, call);
      const { active = true, name } = parseUser(body, naming);
      if (name === undefined) throw new ScimFault(400, `${naming.attribute} is missing.`, 'invalidValue');
      const person = await personOf(deps, `${naming.prefix}${name}`);
      const known = (await listKnown(deps)).find((other) => other.person === person);
      if (known !== undefined && known.state !== 'deleted') {
        throw new ScimFault(409, 'This person already exists; update the user instead.', 'uniqueness');
      }
      const state = await set(write, person, active ? 'active' : 'disabled');
      return { body: toUser(deps, { person, state }) };
    },
  }),
  route({
    name: 'getScimUser',
    operation: 'principal.read',
    method: 'GET',
    path: '/scim/v2/Users/{id}',
    summary: 'read a user',
    caller: 'any',
    outcomes: GOVERNED_READ,
    params: userId,
    success: 200,
    answer: userSchema,
    handle: async (deps, { call, params }) => {
      await assertReader(deps, call);
      const person = await personOfId(deps, params.id);
      return { body: toUser(deps, { person, state: await stateOf(deps, person) }) };
    },
  }),
  route({
    name: 'changeScimUser',
    operation: ['principal.read', 'principal.disable', 'principal.enable'],
    method: 'PATCH',
    path: '/scim/v2/Users/{id}',
    summary: 'disable or enable a person',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: userId,
    body: patchBodySchema,
    success: 200,
    answer: userSchema,
    handle: (deps, given) => change(deps, given, (body) => parsePatch(body, deps.naming)),
  }),
  route({
    name: 'replaceScimUser',
    operation: ['principal.read', 'principal.disable', 'principal.enable'],
    method: 'PUT',
    path: '/scim/v2/Users/{id}',
    summary: 'disable or enable a person, with the whole user',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: userId,
    body: userBodySchema,
    success: 200,
    answer: userSchema,
    handle: (deps, given) =>
      change(deps, given, (body) => {
        const wanted = parseUser(body, deps.naming);
        // An attribute that a PUT omits is reset to its default. RFC 7644 section 3.5.1
        return { ...wanted, active: wanted.active ?? true };
      }),
  }),
  route({
    name: 'deleteScimUser',
    operation: ['principal.read', 'principal.disable'],
    method: 'DELETE',
    path: '/scim/v2/Users/{id}',
    summary: 'disable a person',
    caller: 'any',
    outcomes: GOVERNED_WRITE,
    params: userId,
    success: 204,
    answer: noContent,
    handle: async (deps, { call, params, write }) => {
      await assertReader(deps, call);
      await set(write, await personOfId(deps, params.id), 'deleted');
      return { body: undefined };
    },
  }),
];

/** The maximum number of users in one answer. */
const MAX_COUNT = 200;

async function change(
  deps: ScimRoutesDeps,
  { call, params, body, write }: Given<{ id: string }, object, unknown>,
  parseWanted: (body: unknown) => WantedUser,
): Promise<Reply<ScimUser>> {
  await assertReader(deps, call);
  const { active, name } = parseWanted(body);
  const person = await personOfId(deps, params.id);
  if (name !== undefined && (await personOf(deps, `${deps.naming.prefix}${name}`)) !== person) {
    throw new ScimFault(400, 'The name is the id of the user and cannot be changed.', 'mutability');
  }
  const state =
    active === undefined
      ? await stateOf(deps, person)
      : await set(write, person, active ? 'active' : 'disabled');
  return { body: toUser(deps, { person, state }) };
}

function set(write: Given['write'], person: string, state: PersonState): Promise<PersonState> {
  return write((writing) => setPersonState(writing, person, state));
}

function assertReader({ control }: ScimRoutesDeps, call: Call): Promise<void> {
  return authorizeRead(control, call, { operation: 'principal.read' });
}

/** RFC 7643 section 5 */
function providerConfig(issuer: string): ProviderConfig {
  const supported = { supported: false };
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { ...supported, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: MAX_COUNT },
    changePassword: supported,
    sort: supported,
    etag: supported,
    authenticationSchemes: [
      {
        type: 'oauthbearertoken',
        name: 'Short-lived OAuth 2.0 token',
        description: `A token from ${issuer}/oauth/token with the scopes principal.read, principal.disable and principal.enable.`,
        specUri: 'https://www.rfc-editor.org/rfc/rfc8693',
        primary: true,
      },
    ],
    meta: { resourceType: 'ServiceProviderConfig', location: `${issuer}/scim/v2/ServiceProviderConfig` },
  };
}

/** Writes errors as SCIM messages. @see RFC 7644 section 3.12 */
export function scimErrors(log: Logger): ErrorRequestHandler[] {
  return [
    (error: unknown, req, res, next) => {
      if (res.headersSent) {
        next(error);
        return;
      }
      if (!(error instanceof ScimFault)) logFailure(log, toBrokerError(error), req.id);
      const fault = error instanceof ScimFault ? error : faultOf(toBrokerError(error), res);
      const { status, message: detail, scimType } = fault;
      const type = scimType === undefined ? {} : { scimType };
      const body = { schemas: [ERROR_SCHEMA], status: String(status), ...type, detail };
      res.status(status).type('application/scim+json').send(JSON.stringify(body));
    },
  ];
}

function faultOf(problem: BrokerError, res: Response): ScimFault {
  res.set(problem.fields.headers ?? {});
  return new ScimFault(PROBLEMS[problem.code].status, problem.message, scimTypeOf(problem.code));
}
