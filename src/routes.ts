import type { z } from 'zod';
import { accessRoutes } from './access/routes.ts';
import { checkRoutes } from './activation/check-routes.ts';
import { activationRoutes } from './activation/routes.ts';
import { evaluationRoutes } from './audit/evaluation-routes.ts';
import { logRoutes } from './audit/log-routes.ts';
import { auditRoutes } from './audit/routes.ts';
import { summaryRoutes } from './audit/summary-routes.ts';
import { flagdRoutes } from './data/flagd-routes.ts';
import { ofrepRoutes } from './data/ofrep-routes.ts';
import { reportRoutes, snapshotRoutes, snapshotStreamRoutes } from './data/snapshot-routes.ts';
import type { RequestKinds } from './decide/control.ts';
import { emergencyRoutes } from './emergency/routes.ts';
import { erasureRoutes } from './erasure/routes.ts';
import { eventRoutes } from './events/routes.ts';
import { explainRoutes } from './explain/routes.ts';
import { flagRoutes } from './flags/routes.ts';
import { operatingRoutes } from './http/operating-routes.ts';
import type { RouteShape } from './http/route.ts';
import { inboxRoutes } from './inbox/routes.ts';
import { discoveryRoutes } from './issuers/discovery-routes.ts';
import { keyRoutes } from './keys/routes.ts';
import { organizationRoutes } from './organizations/routes.ts';
import { previewRoutes } from './preview/routes.ts';
import { relayRoutes } from './publication/relay-routes.ts';
import { commentRoutes } from './requests/comment-routes.ts';
import { requestRoutes } from './requests/routes.ts';
import { drillRoutes } from './revocation/drill-routes.ts';
import { revocationRoutes } from './revocation/routes.ts';
import { scimRoutes } from './revocation/scim-routes.ts';
import { authRoutes } from './sessions/auth-routes.ts';
import { logoutRoutes } from './sessions/logout-routes.ts';
import { sessionRoutes } from './sessions/routes.ts';
import { delegationRoutes } from './tokens/delegation-routes.ts';
import { metadataRoutes } from './tokens/metadata-routes.ts';
import { tokenRoutes } from './tokens/routes.ts';
import { tokenStatusRoutes } from './tokens/status-routes.ts';
import { trustRoutes } from './tokens/trust-routes.ts';

/*
 * The list of routes: every call of the HTTP surface, by domain. Nothing else is served.
 */

/** The routes of the control and audit planes, by domain. @param kinds the kinds of requests that the broker supports */
export function routesOf(kinds: RequestKinds) {
  return {
    requests: requestRoutes(kinds),
    comments: commentRoutes,
    preview: previewRoutes(kinds),
    events: eventRoutes,
    organizations: organizationRoutes,
    inbox: inboxRoutes,
    flags: flagRoutes,
    emergency: emergencyRoutes,
    revocation: revocationRoutes,
    drill: drillRoutes,
    audit: auditRoutes,
    summary: summaryRoutes,
    evaluations: evaluationRoutes,
    log: logRoutes,
    erasure: erasureRoutes,
    snapshots: snapshotRoutes,
    reports: reportRoutes,
    relays: relayRoutes,
    access: accessRoutes,
    activation: activationRoutes,
    checks: checkRoutes,
    explain: explainRoutes(kinds),
    sessions: sessionRoutes,
    delegation: delegationRoutes,
    keys: keyRoutes,
    trust: trustRoutes,
    tokens: tokenRoutes,
    tokenStatus: tokenStatusRoutes,
    metadata: metadataRoutes,
    discovery: discoveryRoutes,
    auth: authRoutes,
    logout: logoutRoutes,
    scim: scimRoutes,
    operating: operatingRoutes,
  };
}

type Routes = ReturnType<typeof routesOf>;

/** The dependencies of each domain's routes. */
export type RouteDeps = {
  [Domain in keyof Routes]: Parameters<Routes[Domain][number]['handle']>[0];
};

type Entry =
  | Routes[keyof Routes][number]
  | (typeof ofrepRoutes)[number]
  | (typeof flagdRoutes)[number]
  | (typeof snapshotStreamRoutes)[number];

/** The name of a route: its `operationId`. */
export type RouteName = Entry['name'];

/** What a call answers, for clients; of a list, one item. */
export type AnswerOf<Name extends RouteName> = z.output<Extract<Entry, { name: Name }>['answer']>;

type RouteNamed<Name extends RouteName> = Extract<Entry, { name: Name }>;
type InputOf<Schema> = NonNullable<Schema> extends z.ZodType ? z.input<NonNullable<Schema>> : object;

/** The parameters in the path of a call, for clients. */
export type ParamsOf<Name extends RouteName> =
  RouteNamed<Name> extends { readonly params?: infer Params } ? InputOf<Params> : object;

/** The query parameters of a call, for clients; of a list, without those of pages. */
export type QueryOf<Name extends RouteName> =
  RouteNamed<Name> extends { readonly query?: infer Query } ? InputOf<Query> : object;

/** The body of a call, for clients. */
export type BodyOf<Name extends RouteName> =
  RouteNamed<Name> extends { readonly body?: infer Body }
    ? NonNullable<Body> extends z.ZodType
      ? z.input<NonNullable<Body>>
      : undefined
    : undefined;

/** The names of the routes that answer one page of a list. */
export type ListName = Extract<Entry, { readonly paged: true }>['name'];

/** A route of the list. */
export type ListedRoute = RouteShape & { readonly name: RouteName };

/** The whole list, with the data plane. */
export function listRoutes(kinds: RequestKinds): ListedRoute[] {
  return [...Object.values(routesOf(kinds)).flat(), ...ofrepRoutes, ...flagdRoutes, ...snapshotStreamRoutes];
}
