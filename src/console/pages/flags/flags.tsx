import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function FlagsPage() {
  return <PageHead title="FlagsPage" />;
}
