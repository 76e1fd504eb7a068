import { useMutation } from '@tanstack/react-query';
import type { ReplayView } from '../../../audit/replay.ts';
import { api } from '../../api/api.ts';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { JsonDocument } from '../../parts/document.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './audit.module.css';

const SAID = {
  same: 'The same answer came out, byte for byte.',
  different:
    'Something else came out. The record, its input or its policy may have been changed: tell whoever runs the broker.',
  not_replayable: 'It cannot be made again.',
} as const;

/** Makes the decision again, and says whether the same comes out. */
export function Replay({ id }: { id: string }) {
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: () => api('replayDecision', { params: { id } }),
    onSuccess: ({ outcome }) => announce(SAID[outcome]),
  });
  return (
    <Panel
      title="Make the decision again"
      aside={
        <Button isPending={isPending} onPress={() => mutate()}>
          Replay
        </Button>
      }
    >
      <p className={styles.note}>
        The stored input goes through the stored policy once more. An honest record gives the same answer
        years later.
      </p>
      {error !== null && <FaultView fault={error} />}
      {data !== undefined && <Result replay={data} />}
    </Panel>
  );
}

function Result({ replay: { outcome, why, difference } }: { replay: ReplayView }) {
  return (
    <div className={`${styles.result} ${outcome === 'same' ? styles.same : styles.different}`}>
      <p>
        <strong>{SAID[outcome]}</strong>
      </p>
      {why !== null && (
        <p>
          <Untrusted text={why.detail} /> <code>{why.code}</code>
        </p>
      )}
      {difference !== null && (
        <>
          <p>
            The first difference is in the {difference.part.replace('_', ' ')}
            {difference.pointer === '' ? '' : ', at '}
            <code>
              <Untrusted text={difference.pointer} />
            </code>
            .
          </p>
          <JsonDocument title="Recorded, and replayed" value={difference} />
        </>
      )}
    </div>
  );
}
