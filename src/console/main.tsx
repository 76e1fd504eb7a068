import './theme.css';
import './base.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createQueries } from './api/queries.ts';
import { createConsoleRouter } from './app/router.tsx';

/*
 * The web console, where people propose, approve, respond and audit. It has no power of its own: it calls the same API as every
 * other client, with the session of its person, and keeps nothing but drafts. Vite builds it into static files, which
 * `src/http/console-files.ts` serves under a policy that allows no inline script or style, and no text as markup: so there is
 * no `dangerouslySetInnerHTML`, no `<style>`, and no library that adds one.
 *
 * - `api/`: the calls of the route list as one typed function. Of the broker's code, only types are imported.
 * - `app/`: what is around every page: session, navigation, freeze banner, palette, keys, and the list of pages.
 * - `parts/`: what pages are made of. Text that others wrote goes through `parts/untrusted.tsx`, times through
 *   `parts/moment.tsx`, refusals through `parts/fault.tsx`.
 * - `pages/`: a folder per page. A new page is: its folder, a row in `app/router.tsx` (with its search parameters, which are the
 *   state that a link keeps), a row in `app/places.ts` for navigation and palette, its first segment in `CONSOLE_PAGES` of
 *   `src/http/console-files.ts`, its calls in `api/calls.ts`, and a test in `test/console/` beside those of the others.
 * - `theme.css` has every colour and size. Other styles are CSS modules beside what they style.
 */

const root = document.getElementById('console');
if (root === null) throw new Error('the page has no element for the console');
const queries = createQueries();
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={createConsoleRouter(queries)} />
    </QueryClientProvider>
  </StrictMode>,
);
