import { PageHead } from '../../parts/page-head.tsx';

/** The page. */
export function FlagPage() {
  return <PageHead title="FlagPage" />;
}
