import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function OrganizationsPage() {
  return <PageHead title="Organizations" />;
}
