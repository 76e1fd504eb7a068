import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function OrganizationPage() {
  return <PageHead title="Organization" />;
}
