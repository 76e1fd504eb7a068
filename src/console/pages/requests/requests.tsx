import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function RequestsPage() {
  return <PageHead title="RequestsPage" />;
}
