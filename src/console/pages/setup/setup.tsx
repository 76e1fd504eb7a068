import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useSession } from '../../app/session.tsx';
import { buttonClass } from '../../parts/button.tsx';
import { Command } from '../../parts/command.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { PageHead } from '../../parts/page-head.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { bindingOf, quoted, ROLES } from './roles.ts';
import styles from './setup.module.css';
import { Step } from './step.tsx';
import { useSetup } from './use-setup.ts';

/**
 * What is missing on a new installation, with the commands to copy. Nothing here changes anything by itself: each step is a
 * request that policy decides, or something that the operator does at the machine.
 */
export function SetupPage() {
  const setup = useSetup();
  const steps = [setup.signIn, setup.role, setup.holders, setup.flag];
  const missing = steps.filter((state) => state !== 'done').length;
  return (
    <div className={styles.page}>
      <PageHead title="Set up" />
      <p role="status">
        {setup.isPending
          ? 'Looking at what there is…'
          : missing === 0
            ? 'Everything that is needed is there.'
            : `${missing} of ${steps.length} steps need a look.`}
      </p>
      {setup.error !== null && <FaultView fault={setup.error} />}
      {setup.isPending ? (
        <Skeleton lines={4} />
      ) : (
        <ol className={styles.steps}>
          <SignInStep setup={setup} />
          <RoleStep setup={setup} />
          <HoldersStep setup={setup} />
          <FlagStep setup={setup} />
          <Later />
        </ol>
      )}
    </div>
  );
}

type Setup = ReturnType<typeof useSetup>;

function SignInStep({ setup }: { setup: Setup }) {
  const { principal } = useSession();
  return (
    <Step state={setup.signIn} title="People sign in at your identity provider">
      <p>
        You came from <Untrusted text={principal.issuer ?? 'an unknown issuer'} />
        {principal.person === null ? (
          '.'
        ) : (
          <>
            {' '}
            as <Untrusted text={principal.person} />.
          </>
        )}
      </p>
      {principal.person === null && (
        <p>
          It does not name the person behind the account. Choose the claim before anybody approves: it is how
          one human is known in every record. In countersign.yaml, at the issuer:
        </p>
      )}
      {principal.person === null && (
        <Command what="setting" text="claims: {person: employee_id, groups: groups}" />
      )}
      {principal.groups.length === 0 ? (
        <p>
          It sends no groups for you. Roles are mostly bound to groups: let it send them, or bind another
          claim.
        </p>
      ) : (
        <p>
          Your groups: <Untrusted text={principal.groups.join(', ')} />.
        </p>
      )}
    </Step>
  );
}

function RoleStep({ setup }: { setup: Setup }) {
  const { principal } = useSession();
  const group = principal.groups[0] ?? 'YOUR-GROUP';
  if (setup.role === 'done') {
    return (
      <Step state="done" title="The policy gives you a role">
        <p>
          You read flags in <Untrusted text={setup.environments.join(', ')} />.
        </p>
      </Step>
    );
  }
  return (
    <Step state={setup.role} title="The policy gives you a role">
      <p>
        No binding of the active policy is yours, so you see nothing. Somebody who maintains the policy
        proposes one, and others approve it:
      </p>
      <Command text={bindingOf(principal.issuer ?? 'https://login.example.com', group)} />
      <p>
        If nobody can, because the bindings are still the examples: whoever holds the machine writes the
        set-up with your own groups, and the stopped broker takes it. That is recorded as what it is, an
        activation without a decision.
      </p>
      <Command
        text={[
          `countersign policy init policy --issuer ${quoted(principal.issuer ?? 'ISSUER')} --group ${quoted(`policy-maintainer=${group}`)}`,
          'countersign policy build policy -o bundle.tar.gz',
          'countersign policy recover bundle.tar.gz --reason "the first bindings"',
        ].join('\n')}
      />
    </Step>
  );
}

function HoldersStep({ setup }: { setup: Setup }) {
  const { principal } = useSession();
  const title = 'Each role is bound to real groups';
  if (setup.roles === null) {
    return (
      <Step state="unknown" title={title}>
        <p>
          You may not read the policy. An auditor, or whoever maintains the policy, sees here which roles are
          bound.
        </p>
      </Step>
    );
  }
  const { roles, strangers } = setup;
  return (
    <Step state={setup.holders} title={title}>
      <ul className={styles.roles}>
        {ROLES.map(({ role, does }) => {
          const holders = roles.get(role) ?? [];
          return (
            <li key={role}>
              <span className={holders.length === 0 ? styles.missing : styles.given}>
                {holders.length === 0 ? '○ nobody' : '✓ bound'}
              </span>
              <span>
                <strong>{role}</strong> {does}
                {holders.length > 0 && (
                  <>
                    : <Untrusted text={holders.join(', ')} />
                  </>
                )}
              </span>
            </li>
          );
        })}
      </ul>
      {strangers.length > 0 && (
        <p>
          Bindings name an issuer of examples, at which nobody of yours signs in:{' '}
          <Untrusted text={strangers.join(', ')} />.
        </p>
      )}
      <p>Nobody approves their own request: have at least two people in each role that approves.</p>
      {setup.holders !== 'done' && (
        <Command
          text={bindingOf(principal.issuer ?? 'https://login.example.com', 'YOUR-GROUP', setup.missing)}
        />
      )}
      <Link to="/access" search={{ view: 'bindings' }}>
        See every binding, and who holds it
      </Link>
    </Step>
  );
}

function FlagStep({ setup }: { setup: Setup }) {
  return (
    <Step state={setup.flag} title="There is a first flag">
      {setup.flag === 'done' ? (
        <p>
          <Link to="/flags">See the flags</Link>
        </p>
      ) : setup.flag === 'unknown' ? (
        <p>Flags are seen with a role, which is the step above.</p>
      ) : (
        <>
          <p>
            A flag is created by a request, and is off everywhere at first. An informational one needs nobody
            else; a more dangerous one waits for an approval.
          </p>
          <Link to="/propose" className={buttonClass('primary')}>
            Propose the first flag
          </Link>
          <p>Or from a terminal, where countersign init has left two requests to try:</p>
          <Command
            text={[
              `countersign login --broker ${window.location.origin}`,
              'countersign propose --file create.yaml',
            ].join('\n')}
          />
        </>
      )}
    </Step>
  );
}

/** What everybody needs some day. */
function Later(): ReactNode {
  return (
    <Step state="later" title="Afterwards">
      <p>Let a pipeline propose, by a trust rule that others approve:</p>
      <Command text="countersign policy add-trust-rule deploy --help" />
      <p>
        Practise the emergency before there is one: prove that a revoked token is refused, and freeze a test
        flag.
      </p>
      <Command text="countersign drill revocation" />
      <Link to="/incident">The page for incidents</Link>
    </Step>
  );
}
