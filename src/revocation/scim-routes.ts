import express, { type ErrorRequestHandler, type Request, type Response, type Router } from 'express';
import { z } from 'zod';
import type { Call } from '../decide/control.ts';
import { callOf, type Edge, parseQuery } from '../decide/edge.ts';
import { authorizeRead } from '../decide/read.ts';
import { write } from '../decide/write.ts';
import { BrokerError, PROBLEMS } from '../errors.ts';
import { jsonBody } from '../http/json-body.ts';
import { logFailure, toBrokerError } from '../http/problem.ts';
import type { Logger } from '../logger.ts';
import { isPrincipalId, subjectName } from './order.ts';
import { listPersons, type PersonState, setPersonState, stateOfPerson } from './provisioning.ts';
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

const SCIM = 'application/scim+json';
const BASE = '/scim/v2';

/** The dependencies of {@link scimRoutes} besides the edge. */
export interface ScimRoutesDeps {
  naming: PersonNaming;
  /** The broker's public URL. */
  issuer: string;
  log: Logger;
}

const pageSchema = z.object({
  filter: z.string().max(1000).optional(),
  startIndex: z.coerce
    .number()
    .int()
    .transform((index) => Math.max(index, 1))
    .default(1),
  count: z.coerce
    .number()
    .int()
    .min(0)
    .transform((count) => Math.min(count, 200))
    .default(100),
});

/**
 * The part of SCIM 2.0 that identity providers need to disable and enable persons:
 *
 *     GET /scim/v2/Users?filter=…   GET, PATCH, PUT, DELETE /scim/v2/Users/{id}   POST /scim/v2/Users
 *     GET /scim/v2/ServiceProviderConfig
 *
 * A user is a human; its id is the human's canonical name. No profiles are stored, so a POST stores nothing: every valid
 * name is a user, whether or not that person has ever signed in.
 *
 * @see RFC 7643, RFC 7644
 */
export function scimRoutes(edge: Edge, deps: ScimRoutesDeps): Router {
  const { control } = edge;
  const { naming } = deps;
  const router = express.Router();
  const read = control.store.read;
  router.use(BASE, jsonBody([SCIM, 'application/json']));

  router.get(`${BASE}/ServiceProviderConfig`, (_req, res) => send(res, 200, providerConfig(deps.issuer)));

  router.get(`${BASE}/Users`, async (req, res) => {
    await assertReader(await callOf(edge, req));
    const { filter, startIndex, count } = parseQuery(pageSchema, req);
    const policy = await control.policies.active(read);
    const known = (await listPersons(read, policy)).filter(({ state }) => state !== 'deleted');
    const found = filter === undefined ? known : await find(filter, known);
    const page = found.slice(startIndex - 1, startIndex - 1 + count);
    send(res, 200, {
      schemas: [LIST_SCHEMA],
      totalResults: found.length,
      startIndex,
      itemsPerPage: page.length,
      Resources: page.map(({ person, state }) => toUser(person, state)),
    });
  });

  router.post(`${BASE}/Users`, async (req, res) => {
    const call = await callOf(edge, req);
    await assertReader(call);
    const { active = true, name } = parseUser(req.body, naming);
    if (name === undefined) throw new ScimFault(400, `${naming.attribute} is missing.`, 'invalidValue');
    const person = await personOf(`${naming.prefix}${name}`);
    const policy = await control.policies.active(read);
    const known = (await listPersons(read, policy)).find((other) => other.person === person);
    if (known !== undefined && known.state !== 'deleted') {
      throw new ScimFault(409, 'This person already exists; update the user instead.', 'uniqueness');
    }
    const state = await set(call, person, active ? 'active' : 'disabled');
    const user = toUser(person, state);
    res.location(user.meta.location);
    send(res, 201, user);
  });

  router.get(`${BASE}/Users/:id`, async (req, res) => {
    await assertReader(await callOf(edge, req));
    const person = await personOfId(req);
    send(res, 200, toUser(person, await stateOf(person)));
  });

  router.patch(`${BASE}/Users/:id`, (req, res) => change(req, res, parsePatch));
  router.put(`${BASE}/Users/:id`, (req, res) =>
    change(req, res, (body) => {
      const wanted = parseUser(body, naming);
      // An attribute that a PUT omits is reset to its default. RFC 7644 section 3.5.1
      return { ...wanted, active: wanted.active ?? true };
    }),
  );

  router.delete(`${BASE}/Users/:id`, async (req, res) => {
    const call = await callOf(edge, req);
    await assertReader(call);
    await set(call, await personOfId(req), 'deleted');
    res.status(204).end();
  });

  router.use(BASE, (req) => {
    throw new BrokerError(
      'not_found',
      `${req.method} ${req.originalUrl} is not supported by this SCIM service.`,
    );
  });
  router.use(BASE, writeScimError(deps.log));
  return router;

  async function change(
    req: Request,
    res: Response,
    parseWanted: (body: unknown, naming: PersonNaming) => WantedUser,
  ): Promise<void> {
    const call = await callOf(edge, req);
    await assertReader(call);
    const { active, name } = parseWanted(req.body, naming);
    const person = await personOfId(req);
    if (name !== undefined && (await personOf(`${naming.prefix}${name}`)) !== person) {
      throw new ScimFault(400, 'The name is the id of the user and cannot be changed.', 'mutability');
    }
    const state =
      active === undefined ? await stateOf(person) : await set(call, person, active ? 'active' : 'disabled');
    send(res, 200, toUser(person, state));
  }

  function set(call: Call, person: string, state: PersonState): Promise<PersonState> {
    return write(control, call, (writing) => setPersonState(writing, person, state));
  }

  async function stateOf(person: string): Promise<PersonState> {
    return stateOfPerson(read, await control.policies.active(read), person);
  }

  function assertReader(call: Call): Promise<void> {
    return authorizeRead(control, call, { operation: 'principal.read' });
  }

  /** @throws ScimFault for an account, a workload or an agent: a provider may only manage humans */
  async function personOf(name: string): Promise<string> {
    if (isPrincipalId(name)) throw new ScimFault(400, 'This is not the name of a person.', 'invalidValue');
    return subjectName(await control.policies.active(read), name);
  }

  /** The person that the path names; 404 for an invalid name, and for a person whom the provider has deleted. */
  async function personOfId(req: Request): Promise<string> {
    const id = String(req.params.id);
    const person = await personOf(id).catch(() => null);
    if (person !== id || (await stateOf(id)) === 'deleted') {
      throw new ScimFault(404, 'No user has this id.');
    }
    return person;
  }

  async function find(
    text: string,
    known: readonly { person: string; state: PersonState }[],
  ): Promise<{ person: string; state: PersonState }[]> {
    const { attribute, value } = parseFilter(text);
    const name = attribute === 'id' ? value : `${naming.prefix}${value}`;
    const person = await personOf(name).catch(() => null);
    return known.filter((user) => user.person === person);
  }

  function toUser(person: string, state: PersonState) {
    const name = person.startsWith(naming.prefix) ? person.slice(naming.prefix.length) : person;
    return {
      schemas: [USER_SCHEMA],
      id: person,
      externalId: name,
      userName: name,
      active: state === 'active',
      meta: { resourceType: 'User', location: `${deps.issuer}${BASE}/Users/${encodeURIComponent(person)}` },
    };
  }
}

function send(res: Response, status: number, body: object): void {
  res.status(status).type(SCIM).send(JSON.stringify(body));
}

/** RFC 7643 section 5 */
function providerConfig(issuer: string): object {
  const supported = { supported: false };
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { ...supported, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: 200 },
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
    meta: { resourceType: 'ServiceProviderConfig', location: `${issuer}${BASE}/ServiceProviderConfig` },
  };
}

/** RFC 7644 section 3.12 */
function writeScimError(log: Logger): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    if (!(error instanceof ScimFault)) logFailure(log, toBrokerError(error), req.id);
    const fault = error instanceof ScimFault ? error : faultOf(toBrokerError(error), res);
    const { status, message: detail, scimType } = fault;
    const type = scimType === undefined ? {} : { scimType };
    send(res, status, { schemas: [ERROR_SCHEMA], status: String(status), ...type, detail });
  };
}

function faultOf(problem: BrokerError, res: Response): ScimFault {
  res.set(problem.fields.headers ?? {});
  return new ScimFault(PROBLEMS[problem.code].status, problem.message, scimTypeOf(problem.code));
}
