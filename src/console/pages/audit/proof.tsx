import { useMutation } from '@tanstack/react-query';
import type { RecordView } from '../../../audit/view.ts';
import { api } from '../../api/api.ts';
import { announce } from '../../parts/announce.tsx';
import { Button } from '../../parts/button.tsx';
import { Code } from '../../parts/document.tsx';
import { saveAs } from '../../parts/download.ts';
import { FaultView } from '../../parts/fault.tsx';
import { Panel } from '../../parts/panel.tsx';
import styles from './audit.module.css';
import { proofFile } from './proof-file.ts';

/** The proof that the record is in the log, as a file for somebody who trusts neither this page nor the broker. */
export function Proof({ record: { id, place } }: { record: Pick<RecordView, 'id' | 'place'> }) {
  const name = `decision-${place}.tlog-proof`;
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: () => api('proveInclusion', { params: { record: id } }),
    onSuccess: (proof) => {
      saveAs(name, proofFile(proof), 'text/plain');
      announce(`The proof is saved as ${name}.`);
    },
  });
  return (
    <Panel
      title="Prove it to others"
      aside={
        <Button isPending={isPending} onPress={() => mutate()}>
          Save the proof
        </Button>
      }
    >
      <p className={styles.note}>
        The file has the hashed leaf of the record at place {place}, the hashes to the root, and a signed
        checkpoint. It names nobody. Whoever has it and the key of the log verifies it without the broker:
      </p>
      <Code
        label="The command that verifies it"
        text={`countersign audit verify-proof ${name} --key log.key`}
      />
      {error !== null && <FaultView fault={error} />}
      {data !== undefined && (
        <p>
          Saved as <code>{name}</code>.
        </p>
      )}
    </Panel>
  );
}
