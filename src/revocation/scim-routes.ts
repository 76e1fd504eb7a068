import type { ErrorRequestHandler, Response } from 'express';
import { z } from 'zod';
import type { Call, ControlDeps } from '../decide/control.ts';
import { type Given, type Reply, routesFor } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import type { BrokerError } from '../errors.ts';
import { logFailure, toBrokerError } from '../http/problem.ts';
import { GOVERNED_READ, GOVERNED_WRITE, noContent, PUBLIC } from '../http/route.ts';
import type { Logger } from '../logger.ts';
import type { Policy } from '../policy/policies.ts';
import { PROBLEMS } from '../problems.ts';
import type { Db } from '../store/statement.ts';
import {
  ERROR_SCHEMA,
  LIST_SCHEMA,
  type PersonNaming,
  parseFilter,
  parsePatch,
  parseUser,
  ScimFault,
  scimTypeOf,
  USER_SCHEMA,
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
import {
  changeUser,
  createUser,
  deleteUser,
  findUser,
  isSelected,
  listUsers,
  namesOf,
  type User,
} from './scim-users.ts';

/** The dependencies of {@link scimRoutes}. */
export interface ScimRoutesDeps {
  control: ControlDeps;
  naming: PersonNaming;
  /** The broker's public URL. */
  issuer: string;
}

const userId = z.object({ id: z.string() });

const { route } = routesFor<ScimRoutesDeps>({
  tag: 'Provisioning (SCIM 2.0)',
  format: 'scim',
  since: '1.0',
});

/**
 * The part of SCIM 2.0 that identity providers need to disable and enable persons.
 *
 * A user is a human whom the provider has created, whether or not that human has ever signed in. Of its attributes only
 * `active` and the names are stored.
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
      const selected = filter === undefined ? null : parseFilter(filter);
      const { read, policy } = await present(deps);
      const users = await listUsers(read, policy);
      const found =
        selected === null
          ? users
          : users.filter((user) => isSelected(user, selected, { policy, naming: deps.naming }));
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
    summary: 'create a user for a person',
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
      const wanted = parseUser(body, naming);
      return { body: toUser(deps, await write((writing) => createUser(writing, wanted, naming))) };
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
      const { read, policy } = await present(deps);
      return { body: toUser(deps, await findUser(read, policy, params.id)) };
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
    errors: ['state_conflict'],
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
    errors: ['state_conflict'],
    // What a PUT omits stays as it is, which RFC 7644 section 3.5.1 leaves to the server: an omission enables nobody.
    handle: (deps, given) => change(deps, given, (body) => parseUser(body, deps.naming)),
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
      await write((writing) => deleteUser(writing, params.id));
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
  const { naming } = deps;
  const wanted = parseWanted(body);
  const { user, fault } = await write((writing) => changeUser(writing, { id: params.id, wanted, naming }));
  if (fault !== null) {
    throw new ScimFault(
      fault.status,
      `${fault.message} The user was disabled anyway; nothing else of the message was carried out.`,
      fault.scimType,
    );
  }
  return { body: toUser(deps, user) };
}

/** The store, and the policy that says who is one person now. */
async function present({ control }: ScimRoutesDeps): Promise<{ read: Db; policy: Policy }> {
  const { read } = control.store;
  return { read, policy: await control.policies.active(read) };
}

/** A user in an answer. */
function toUser({ naming, issuer }: ScimRoutesDeps, user: User): ScimUser {
  return {
    schemas: [USER_SCHEMA],
    id: user.id,
    ...namesOf(user, naming),
    active: user.state === 'active',
    meta: { resourceType: 'User', location: `${issuer}/scim/v2/Users/${encodeURIComponent(user.id)}` },
  };
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
