import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function RequestPage() {
  return <PageHead title="RequestPage" />;
}
