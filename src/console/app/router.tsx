import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from '@tanstack/react-router';
import { flagSearch, flagsSearch } from '../pages/flags/search.ts';
import { InboxPage } from '../pages/inbox/inbox.tsx';
import { proposeSearch } from '../pages/propose/search.ts';
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
const below = { getParentRoute: () => root } as const;

const pages = root.addChildren([
  createRoute({ ...below, path: '/', component: InboxPage }),
  createRoute({
    ...below,
    path: '/requests',
    validateSearch: requestsSearch,
    component: lazyRouteComponent(() => import('../pages/requests/requests.tsx'), 'RequestsPage'),
  }),
  createRoute({
    ...below,
    path: '/requests/$id',
    validateSearch: requestSearch,
    component: lazyRouteComponent(() => import('../pages/request/request.tsx'), 'RequestPage'),
  }),
  createRoute({
    ...below,
    path: '/propose',
    validateSearch: proposeSearch,
    component: lazyRouteComponent(() => import('../pages/propose/propose.tsx'), 'ProposePage'),
  }),
  createRoute({
    ...below,
    path: '/flags',
    validateSearch: flagsSearch,
    component: lazyRouteComponent(() => import('../pages/flags/flags.tsx'), 'FlagsPage'),
  }),
  createRoute({
    ...below,
    path: '/flags/$key',
    validateSearch: flagSearch,
    component: lazyRouteComponent(() => import('../pages/flags/flag.tsx'), 'FlagPage'),
  }),
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
