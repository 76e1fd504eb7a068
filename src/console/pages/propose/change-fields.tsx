import { Button } from '../../parts/button.tsx';
import { counted } from '../../parts/change-words.ts';
import { Choice, TextField } from '../../parts/fields.tsx';
import { ACTIONS, type Action, missingShare, namesIn, type TypedChange } from './proposal.ts';
import styles from './propose.module.css';

/** The fields of one change. @param faultAt what the broker says about a member of this change */
export function ChangeFields({
  change,
  number,
  flags,
  users,
  faultAt,
  onChange,
  onRemove,
}: {
  change: TypedChange;
  number: number;
  flags: readonly string[];
  /** How many users see the flag by exception; null if that is not known. */
  users: number | null;
  faultAt: (member: string) => string | undefined;
  onChange: (change: TypedChange) => void;
  onRemove: (() => void) | null;
}) {
  const set = (part: Partial<TypedChange>) => onChange({ ...change, ...part });
  return (
    <fieldset className={styles.change}>
      <legend>Change {number}</legend>
      <div className={styles.row}>
        <Choice
          label="What"
          value={change.action}
          options={ACTIONS}
          onChange={(action: Action) => set({ action })}
        />
        <TextField
          label={change.action === 'create' ? 'Key of the new flag' : 'Flag'}
          isRequired
          value={change.flag}
          fault={faultAt('flag')}
          {...(change.action === 'create' ? { placeholder: 'checkout.new' } : { list: flags })}
          onChange={(flag) => set({ flag: flag.trim() })}
        />
      </div>
      {change.action === 'set_audience' && (
        <AudienceFields change={change} users={users} set={set} faultAt={faultAt} />
      )}
      {change.action === 'set_rollout' && <ShareFields change={change} set={set} faultAt={faultAt} />}
      {change.action === 'return_to_version' && (
        <TextField
          label="Version"
          type="number"
          isRequired
          value={change.version}
          fault={faultAt('version')}
          hint="The page of the flag lists its versions."
          onChange={(version) => set({ version })}
        />
      )}
      {change.action === 'create' && <DefinitionFields change={change} set={set} faultAt={faultAt} />}
      {change.action === 'retire' && (
        <p>
          A flag is retired in every environment, for ever. Applications get their own default from then on.
        </p>
      )}
      {onRemove !== null && (
        <div>
          <Button kind="quiet" onPress={onRemove}>
            Remove change {number}
          </Button>
        </div>
      )}
    </fieldset>
  );
}

interface Part {
  change: TypedChange;
  set: (part: Partial<TypedChange>) => void;
  faultAt: (member: string) => string | undefined;
}

function AudienceFields({ change, users, set, faultAt }: Part & { users: number | null }) {
  const count = namesIn(change.organizations).length;
  return (
    <>
      <Choice
        label="Who sees it"
        value={change.audience}
        options={[
          ['some', 'some organizations'],
          ['all', 'everybody'],
          ['none', 'nobody'],
        ]}
        onChange={(audience) => set({ audience })}
      />
      {change.audience === 'some' && (
        <>
          <TextField
            label="Organizations"
            lines={3}
            value={change.organizations}
            fault={faultAt('audience')}
            hint={`${count} named. Separate them by commas, spaces or lines. They replace those of now.`}
            placeholder="acme, globex"
            onChange={(organizations) => set({ organizations })}
          />
          {users === null ? (
            <p className={styles.missing}>
              The users who see it by exception cannot be read. If there are any, this removes them.
            </p>
          ) : (
            users > 0 && (
              <p className={styles.calm}>{counted(users, 'user')} by exception will still see it.</p>
            )
          )}
          {count === 0 && !((users ?? 0) > 0) && (
            <p className={styles.missing}>Nobody is named, so nobody sees it.</p>
          )}
        </>
      )}
    </>
  );
}

function ShareFields({ change: { shares }, set, faultAt }: Part) {
  const missing = missingShare(shares);
  const change = (place: number, part: Partial<(typeof shares)[number]>) =>
    set({ shares: shares.map((share, each) => (each === place ? { ...share, ...part } : share)) });
  return (
    <div className={styles.shares}>
      {shares.map((share, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: shares are in the order in which organizations are assigned
        <div key={place} className={styles.row}>
          <TextField
            label={`Variant ${place + 1}`}
            value={share.variant}
            onChange={(variant) => change(place, { variant })}
          />
          <TextField
            label={`Percent of organizations ${place + 1}`}
            type="number"
            value={share.percent}
            onChange={(percent) => change(place, { percent })}
          />
          {shares.length > 1 && (
            <Button
              kind="quiet"
              label={`Remove variant ${place + 1}`}
              onPress={() => set({ shares: shares.filter((_, each) => each !== place) })}
            >
              Remove
            </Button>
          )}
        </div>
      ))}
      <p className={missing === 0 ? styles.calm : styles.missing}>
        {missing === 0
          ? 'All users of an organization get the same.'
          : `${missing > 0 ? `${missing} % are missing` : `${-missing} % are too much`} to 100 %.`}
      </p>
      {faultAt('rollout') !== undefined && <p className={styles.missing}>{faultAt('rollout')}</p>}
      <div>
        <Button
          kind="quiet"
          onPress={() => set({ shares: [...shares, { variant: '', percent: String(Math.max(0, missing)) }] })}
        >
          Add a variant
        </Button>
      </div>
    </div>
  );
}

function DefinitionFields({ change, set, faultAt }: Part) {
  return (
    <>
      <div className={styles.row}>
        <TextField
          label="Namespace"
          isRequired
          value={change.namespace}
          fault={faultAt('definition/namespace')}
          hint="It decides who may approve, and never changes."
          placeholder="payments"
          onChange={(namespace) => set({ namespace: namespace.trim() })}
        />
        <TextField
          label="Owner"
          isRequired
          value={change.owner}
          fault={faultAt('definition/owner')}
          placeholder="team-payments"
          onChange={(owner) => set({ owner })}
        />
      </div>
      <div className={styles.row}>
        <Choice
          label="Kind"
          value={change.kind}
          options={[
            ['release', 'release: new code, until everybody has it'],
            ['entitlement', 'entitlement: what a contract promises'],
            ['operational', 'operational: a switch for emergencies'],
            ['experiment', 'experiment: a comparison'],
          ]}
          onChange={(kind) => set({ kind })}
        />
        <Choice
          label="Tier"
          value={change.tier}
          options={[
            ['informational', 'informational'],
            ['operational', 'operational'],
            ['sensitive', 'sensitive'],
            ['high-risk', 'high-risk'],
          ]}
          hint="How dangerous it is: policy asks for more, the higher it is."
          onChange={(tier) => set({ tier })}
        />
      </div>
      <TextField
        label="Purpose"
        isRequired
        lines={2}
        value={change.purpose}
        fault={faultAt('definition/purpose')}
        onChange={(purpose) => set({ purpose })}
      />
      <div className={styles.row}>
        <TextField
          label="When it is retired"
          isRequired
          value={change.retirement}
          fault={faultAt('definition/retirement')}
          placeholder="when every customer has it"
          onChange={(retirement) => set({ retirement })}
        />
        <TextField
          label="Expires"
          type="date"
          value={change.expires}
          fault={faultAt('definition/expires')}
          onChange={(expires) => set({ expires })}
        />
      </div>
      {change.kind === 'entitlement' && (
        <TextField
          label="Contract"
          isRequired
          value={change.contract}
          fault={faultAt('definition/contract')}
          onChange={(contract) => set({ contract })}
        />
      )}
    </>
  );
}
