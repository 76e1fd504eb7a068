import { useQuery } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext } from 'react';
import type { WhoamiView } from '../../sessions/routes.ts';
import { Fault } from '../api/fault.ts';
import { whoami } from '../api/queries.ts';
import { forgetDraftsOfOthers } from '../parts/draft.ts';
import { FaultView } from '../parts/fault.tsx';
import { SkeletonPage } from '../parts/skeleton.tsx';
import { SignInPage } from './sign-in.tsx';

const SessionContext = createContext<WhoamiView | null>(null);

/** Who is signed in. Every page below {@link Session} has somebody. */
export function useSession(): WhoamiView {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('there is no session around this part');
  return session;
}

/** The name by which votes and requests know the person. */
export function usePerson(): string | null {
  return useSession().principal.person;
}

/** Shows its children to whoever is signed in, and the way to sign in to everybody else. */
export function Session({ children }: { children: ReactNode }) {
  const { data, error, isPending } = useQuery(whoami);
  if (error instanceof Fault && error.status === 401) return <SignInPage wasSignedIn={data !== undefined} />;
  if (data !== undefined) {
    forgetDraftsOfOthers(data.principal.person ?? data.principal.id);
    // What stands in the fields of a page is of whoever typed it: another person gets other fields.
    return (
      <SessionContext key={data.principal.id} value={data}>
        {children}
      </SessionContext>
    );
  }
  if (isPending) return <SkeletonPage />;
  return (
    <main>
      <FaultView fault={error} />
    </main>
  );
}
