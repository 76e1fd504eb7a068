import { useQuery } from '@tanstack/react-query';
import type { ExplanationView } from '../../../explain/view.ts';
import { api, type Given } from '../../api/api.ts';
import { ButtonLink } from '../../parts/button.tsx';
import { signInAddress } from '../../parts/sign-in-address.ts';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './incident.module.css';

type WhatIf = Extract<Given<'explainPolicy'>['body'], { what_if: unknown }>['what_if'];

/** What policy would answer to the person now. @param whatIf null as long as there is nothing to ask about */
export function useForecast(whatIf: WhatIf | null) {
  return useQuery({
    queryKey: ['forecast', whatIf],
    queryFn: ({ signal }) => api('explainPolicy', { body: { what_if: whatIf as WhatIf }, signal }),
    enabled: whatIf !== null,
    staleTime: 30_000,
    retry: false,
    refetchOnWindowFocus: false,
  });
}

/** Says it beside the button: what would be refused is a reason before the press, and no surprise after it. */
export function Forecast({
  forecast,
  allowed,
}: {
  forecast: ReturnType<typeof useForecast>;
  allowed: string;
}) {
  const { data, isLoading } = forecast;
  if (isLoading) return <p className={styles.muted}>Asking what policy says…</p>;
  // Whoever may not ask beforehand is answered by the act itself.
  if (data === undefined) return null;
  if (data.effect === 'allow') return <p className={styles.allowed}>✓ {allowed}</p>;
  const demand = signInOf(data);
  return (
    <div className={data.effect === 'deny' ? styles.denied : styles.held}>
      <p>
        <strong>
          {data.effect === 'deny' ? '✕ Policy would refuse this to you.' : 'Policy asks for more:'}
        </strong>
      </p>
      <ul>
        {data.gates.map((gate) => (
          <li key={`${gate.code} ${gate.detail}`}>
            <Untrusted text={gate.detail} /> Who can clear it: <Untrusted text={gate.cleared_by} />.
          </li>
        ))}
      </ul>
      {demand !== null && (
        <ButtonLink href={signInAddress(demand)} kind="primary">
          Sign in again at level {demand.level}; what you typed is kept
        </ButtonLink>
      )}
    </div>
  );
}

/** The sign-in that policy asks for before anything else, if it does. */
export function signInOf({
  obligations,
}: ExplanationView): { level: number; max_age_s: number | null } | null {
  for (const { obligation } of obligations) {
    if (obligation.kind === 'sign_in') return { level: obligation.level, max_age_s: obligation.max_age_s };
  }
  return null;
}
