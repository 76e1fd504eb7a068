import { useSession } from '../../app/session.tsx';
import { Command } from '../../parts/command.tsx';
import { FactList } from '../../parts/fact-list.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import styles from './access.module.css';

/** Who the person is to the broker: it decides by this, and by nothing else. */
export function YouPanel() {
  const { principal, credential } = useSession();
  const { id, person, issuer, groups, auth } = principal;
  return (
    <Panel title="You, as policy sees you">
      <FactList
        facts={[
          [
            'Person',
            person === null ? 'not named by your identity provider' : <Untrusted key="p" text={person} />,
          ],
          ['Account', <Untrusted key="id" text={id} />],
          ['Signed in at', issuer === null ? null : <Untrusted key="iss" text={issuer} />],
          ['Groups', groups.length === 0 ? 'none' : <Untrusted key="groups" text={groups.join(', ')} />],
          ['Sign-in', `level ${auth.level}`],
          [
            'When',
            auth.auth_time_ms === null ? null : <Moment key="when" ms={auth.auth_time_ms} as="full" />,
          ],
          ['Ends', <Moment key="ends" ms={credential.expires_ms} as="full" />],
        ]}
      />
      <p className={styles.muted}>
        Pages have a session, and no token. Agents act for you with a delegation of their own, which lasts for
        minutes and is not listed; this makes one:
      </p>
      <Command text="countersign agents delegate RULE" />
    </Panel>
  );
}
