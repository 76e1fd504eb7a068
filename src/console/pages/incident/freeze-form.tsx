import { useQuery, useQueryClient } from '@tanstack/react-query';
import type { FreezeOrder } from '../../../emergency/freeze.ts';
import { api } from '../../api/api.ts';
import { activeFreezes, environments } from '../../api/queries.ts';
import { useSession } from '../../app/session.tsx';
import { useDraft } from '../../parts/draft.ts';
import { Choice, TextField } from '../../parts/fields.tsx';
import { scopeInWords } from '../../parts/freeze-words.ts';
import { ActButton } from './act-button.tsx';
import { flagsIn } from './flags-in.ts';
import { Forecast, useForecast } from './forecast.tsx';
import styles from './incident.module.css';
import type { Incident } from './incident-fields.tsx';
import { useAct } from './use-act.ts';

interface Typed {
  scope: FreezeOrder['scope'];
  environment: string;
  namespace: string;
  flag: string;
}

const SCOPES = [
  ['environment', 'an environment'],
  ['namespace', 'a namespace'],
  ['flag', 'one flag'],
  ['all', 'everything'],
] as const;

/** Freezes at once: from the answer on, every write that it covers is refused, also those on their way. */
export function FreezeForm({ incident }: { incident: Incident }) {
  const { principal } = useSession();
  const queries = useQueryClient();
  const { data: known = [] } = useQuery(environments);
  const [first = ''] = known;
  const [typed, setTyped] = useDraft<Typed>(principal.person ?? principal.id, 'freeze', {
    scope: 'environment',
    environment: '',
    namespace: '',
    flag: '',
  });
  const change = (part: Partial<Typed>) => setTyped({ ...typed, ...part });
  const { scope } = typed;
  const environment = scope === 'environment' ? typed.environment || first : typed.environment;
  const part = scope === 'flag' ? typed.flag.trim() : '';
  const flags = useQuery(flagsIn(environment || first, { q: part, limit: 200 }));
  const flag = flags.data?.items.find(({ key }) => key === typed.flag.trim());
  const namespaces = [...new Set(flags.data?.items.map(({ namespace }) => namespace))];
  const order = orderOf({ ...typed, environment }, incident);
  const namespace = scope === 'namespace' ? typed.namespace.trim() : (flag?.namespace ?? null);
  const forecast = useForecast(
    order === null || (scope === 'flag' && flag === undefined)
      ? null
      : {
          operation: 'freeze.engage',
          environment: environment === '' || scope === 'all' ? null : environment,
          namespace: scope === 'namespace' || scope === 'flag' ? namespace : null,
        },
  );
  const active = useQuery(activeFreezes).data?.items ?? [];
  const act = useAct('freeze', order, {
    send: (idempotencyKey) => api('engageFreeze', { body: order as FreezeOrder, idempotencyKey }),
    onDone: (freeze) => {
      queries.invalidateQueries({ queryKey: ['freezes'] }).catch(() => undefined);
      return `Frozen: ${scopeInWords(freeze)}.`;
    },
    holds: ({ id }) => active.some((freeze) => freeze.id === id),
  });
  const same = active.find(
    (freeze) => order !== null && scopeInWords(freeze) === scopeInWords(asScope(order)),
  );
  return (
    <form className={styles.form} noValidate aria-label="Freeze" onSubmit={(event) => event.preventDefault()}>
      <p>
        Freeze as little as will do. Changes are refused until somebody lifts it; flags are still served. One
        person is enough to freeze, and lifting takes two: one proposes, another approves.
      </p>
      <Choice
        label="What to freeze"
        value={scope}
        options={SCOPES}
        onChange={(value) => change({ scope: value })}
      />
      {scope === 'namespace' && (
        <TextField
          label="Namespace"
          value={typed.namespace}
          isRequired
          list={namespaces}
          onChange={(value) => change({ namespace: value })}
        />
      )}
      {scope === 'flag' && (
        <TextField
          label="Flag"
          value={typed.flag}
          isRequired
          list={flags.data?.items.map(({ key }) => key) ?? []}
          onChange={(value) => change({ flag: value })}
        />
      )}
      {scope !== 'all' && (
        <Choice
          label="Environment"
          value={environment}
          options={[
            ...(scope === 'environment' ? [] : [['', 'all environments'] as const]),
            ...known.map((each) => [each, each] as const),
          ]}
          onChange={(value) => change({ environment: value })}
        />
      )}
      {act.answer === undefined && (
        <Forecast forecast={forecast} allowed="Policy lets you freeze this, alone and at once." />
      )}
      {same !== undefined && act.answer === undefined && (
        <p className={styles.held}>
          This is frozen already. Another freeze of the same changes nothing, and has to be lifted, too.
        </p>
      )}
      <ActButton
        act={{ ...act, press: () => (incident.isGiven() ? act.press() : undefined) }}
        kind="danger"
        isDisabled={order === null || forecast.data?.effect === 'deny'}
        doneText={order === null ? 'Frozen' : `Frozen: ${scopeInWords(asScope(order))}`}
      >
        {order === null ? 'Name what to freeze' : `Freeze ${scopeInWords(asScope(order))}`}
      </ActButton>
    </form>
  );
}

function asScope(order: FreezeOrder): Parameters<typeof scopeInWords>[0] {
  return {
    scope: order.scope,
    environment: 'environment' in order ? (order.environment ?? null) : null,
    namespace: 'namespace' in order ? order.namespace : null,
    flag: 'flag' in order ? order.flag : null,
  };
}

/** What is sent; null as long as it does not say what is frozen. */
function orderOf({ scope, ...typed }: Typed, { incident, reason }: Incident): FreezeOrder | null {
  const common = { incident, reason };
  const [namespace, flag] = [typed.namespace.trim(), typed.flag.trim()];
  const place = typed.environment === '' ? {} : { environment: typed.environment };
  switch (scope) {
    case 'all':
      return { scope, ...common };
    case 'environment':
      return typed.environment === '' ? null : { scope, environment: typed.environment, ...common };
    case 'namespace':
      return namespace === '' ? null : { scope, namespace, ...place, yet_unknown: false, ...common };
    case 'flag':
      return flag === '' ? null : { scope, flag, ...place, yet_unknown: false, ...common };
  }
}
