import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function ProposePage() {
  return <PageHead title="ProposePage" />;
}
