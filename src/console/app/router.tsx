import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from '@tanstack/react-router';
import { accessSearch } from '../pages/access/search.ts';
import { auditSearch } from '../pages/audit/search.ts';
import { flagSearch, flagsSearch } from '../pages/flags/search.ts';
import { InboxPage } from '../pages/inbox/inbox.tsx';
import { incidentSearch } from '../pages/incident/search.ts';
import { organizationSearch, organizationsSearch } from '../pages/organizations/search.ts';
import { policySearch } from '../pages/policy/search.ts';
import { proposeSearch } from '../pages/propose/search.ts';
import { referenceSearch } from '../pages/reference/search.ts';
import { requestSearch } from '../pages/request/search.ts';
import { requestsSearch } from '../pages/requests/search.ts';
import { NoPage, PageFault } from './no-page.tsx';
import { Shell } from './shell.tsx';

/*
 * The list of pages. Each states its path and its search parameters; all but the first are loaded when they are opened.
 */

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Shell,
  notFoundComponent: NoPage,
});

// Each stands by itself: within a list, its types would be lost.
const inbox = createRoute({ getParentRoute: () => root, path: '/', component: InboxPage });
const requests = createRoute({
  getParentRoute: () => root,
  path: '/requests',
  validateSearch: requestsSearch,
  component: lazyRouteComponent(() => import('../pages/requests/requests.tsx'), 'RequestsPage'),
});
const request = createRoute({
  getParentRoute: () => root,
  path: '/requests/$id',
  validateSearch: requestSearch,
  component: lazyRouteComponent(() => import('../pages/request/request.tsx'), 'RequestPage'),
});
const propose = createRoute({
  getParentRoute: () => root,
  path: '/propose',
  validateSearch: proposeSearch,
  component: lazyRouteComponent(() => import('../pages/propose/propose.tsx'), 'ProposePage'),
});
const flags = createRoute({
  getParentRoute: () => root,
  path: '/flags',
  validateSearch: flagsSearch,
  component: lazyRouteComponent(() => import('../pages/flags/flags.tsx'), 'FlagsPage'),
});
const flag = createRoute({
  getParentRoute: () => root,
  path: '/flags/$key',
  validateSearch: flagSearch,
  component: lazyRouteComponent(() => import('../pages/flags/flag.tsx'), 'FlagPage'),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: auditSearch,
  component: lazyRouteComponent(() => import('../pages/audit/audit.tsx'), 'AuditPage'),
});
const decision = createRoute({
  getParentRoute: () => root,
  path: '/audit/$id',
  component: lazyRouteComponent(() => import('../pages/audit/decision.tsx'), 'DecisionPage'),
});
const policy = createRoute({
  getParentRoute: () => root,
  path: '/policy',
  validateSearch: policySearch,
  component: lazyRouteComponent(() => import('../pages/policy/policy.tsx'), 'PolicyPage'),
});
const organizations = createRoute({
  getParentRoute: () => root,
  path: '/organizations',
  validateSearch: organizationsSearch,
  component: lazyRouteComponent(
    () => import('../pages/organizations/organizations.tsx'),
    'OrganizationsPage',
  ),
});
const organization = createRoute({
  getParentRoute: () => root,
  path: '/organizations/$name',
  validateSearch: organizationSearch,
  component: lazyRouteComponent(() => import('../pages/organizations/organization.tsx'), 'OrganizationPage'),
});
const reference = createRoute({
  getParentRoute: () => root,
  path: '/api',
  validateSearch: referenceSearch,
  component: lazyRouteComponent(() => import('../pages/reference/reference.tsx'), 'ReferencePage'),
});

const access = createRoute({
  getParentRoute: () => root,
  path: '/access',
  validateSearch: accessSearch,
  component: lazyRouteComponent(() => import('../pages/access/access.tsx'), 'AccessPage'),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: lazyRouteComponent(() => import('../pages/setup/setup.tsx'), 'SetupPage'),
});
const incident = createRoute({
  getParentRoute: () => root,
  path: '/incident',
  validateSearch: incidentSearch,
  component: lazyRouteComponent(() => import('../pages/incident/incident.tsx'), 'IncidentPage'),
});

const pages = root.addChildren([
  incident,
  access,
  setup,
  inbox,
  requests,
  request,
  propose,
  flags,
  flag,
  audit,
  decision,
  policy,
  organizations,
  organization,
  reference,
]);

/** Creates the router. */
export function createConsoleRouter(queries: QueryClient) {
  return createRouter({
    routeTree: pages,
    context: { queries },
    defaultPreload: 'intent',
    // What was read is in the cache of queries.
    defaultPreloadStaleTime: 0,
    scrollRestoration: true,
    defaultErrorComponent: PageFault,
    defaultNotFoundComponent: NoPage,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createConsoleRouter>;
  }
}
