import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function PolicyPage() {
  return <PageHead title="Policy" />;
}
