import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function ReferencePage() {
  return <PageHead title="API" />;
}
