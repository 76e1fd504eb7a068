import { Link } from '@tanstack/react-router';
import { Fault } from '../api/fault.ts';
import { FaultView } from '../parts/fault.tsx';
import { PageHead } from '../parts/page-head.tsx';

/** A path that no page has. */
export function NoPage() {
  return (
    <>
      <PageHead title="No such page" />
      <p>
        The address may be incomplete. <Link to="/">Go to your inbox</Link>, or press Ctrl K to search.
      </p>
    </>
  );
}

/** A page that failed: the rest of the console goes on. */
export function PageFault({ error }: { error: unknown }) {
  const isFault = error instanceof Fault;
  return (
    <>
      <PageHead title={isFault ? 'This page cannot be shown' : 'This page has failed'} />
      {isFault ? (
        <FaultView fault={error} />
      ) : (
        <p>
          Nothing was changed by it. A new version may have been installed meanwhile: load the page again. If
          that does not help, the command line does the same.
        </p>
      )}
    </>
  );
}
