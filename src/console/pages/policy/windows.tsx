import type { Blackout, Window } from '../../../policy/calendar.ts';
import type { DataFolders } from '../../../policy/data-schema.ts';
import { Empty } from '../../parts/empty.tsx';
import { Hidden } from '../../parts/hidden.tsx';
import { Moment } from '../../parts/moment.tsx';
import { Panel } from '../../parts/panel.tsx';
import { Untrusted } from '../../parts/untrusted.tsx';
import { nextOpenings, type OpenTime, timeOf } from './openings.ts';
import styles from './policy.module.css';

const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const MINUTES = 1440;

/** When changes may be applied: each window in a week, when it opens next, and the blackouts. */
export function Windows({
  config: { windows = {}, blackouts = {}, holidays = {} },
}: {
  config: DataFolders;
}) {
  const nowMs = performance.timeOrigin + performance.now();
  const closed = Object.entries(blackouts)
    .map(([name, blackout]) => ({ name, blackout, ...timeOf(blackout) }))
    .filter(({ toMs }) => toMs > nowMs)
    .sort((one, other) => one.fromMs - other.fromMs);
  return (
    <>
      {Object.keys(windows).length === 0 && (
        <Empty title="There is no change window.">
          <p>Nothing that this policy decides waits for a time of the week.</p>
        </Empty>
      )}
      {Object.entries(windows).map(([name, window]) => {
        const dates = new Set((window.holidays ?? []).flatMap((each) => Object.keys(holidays[each] ?? {})));
        return (
          <Panel key={name} title={<Untrusted text={name} />}>
            <Week window={window} />
            <p>{inWords(window)}</p>
            <h3>Opens next</h3>
            <Openings
              times={nextOpenings(window, { nowMs, holidays: dates, count: 4 })}
              nowMs={nowMs}
              closed={closed}
            />
          </Panel>
        );
      })}
      <Panel title="Blackouts to come">
        {closed.length === 0 && <p>None.</p>}
        <ul className={styles.lines}>
          {closed.map(({ name, blackout, fromMs, toMs }) => (
            <li key={name}>
              <strong>
                <Untrusted text={name} />
              </strong>
              : <Moment ms={fromMs} as="full" /> to <Moment ms={toMs} as="full" />, because{' '}
              <Untrusted text={blackout.reason} />
              {scopeOf(blackout)}
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}

function scopeOf({ environments, namespaces, except_tiers, lower_passes }: Blackout): string {
  const parts = [
    ...(environments === undefined ? [] : [`only environments of the kind ${environments.join(', ')}`]),
    ...(namespaces === undefined ? [] : [`only in ${namespaces.join(', ')}`]),
    ...(except_tiers === undefined ? [] : [`not for the tier ${except_tiers.join(', ')}`]),
    ...(lower_passes === true ? ['what is safe passes'] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}

function Openings({
  times,
  nowMs,
  closed,
}: {
  times: readonly OpenTime[];
  nowMs: number;
  closed: readonly (OpenTime & { name: string })[];
}) {
  if (times.length === 0) return <p>Not within three weeks.</p>;
  return (
    <ul className={styles.lines}>
      {times.map(({ fromMs, toMs }) => {
        const during = closed.filter((each) => each.fromMs < toMs && each.toMs > fromMs);
        return (
          <li key={fromMs}>
            {fromMs <= nowMs ? (
              <>
                <strong>Open now</strong>, until <Moment ms={toMs} as="full" />
              </>
            ) : (
              <>
                <Moment ms={fromMs} as="full" /> to <Moment ms={toMs} as="full" />
              </>
            )}
            {during.length > 0 && (
              <>
                , but for the blackout <Untrusted text={during.map(({ name }) => name).join(', ')} />
              </>
            )}
          </li>
        );
      })}
    </ul>
  );
}

/** A week with the window in it. What it shows stands below it as text. */
function Week({ window: { days, start, end } }: { window: Window }) {
  const [from, to] = [start.hour * 60 + start.minute, end.hour * 60 + end.minute];
  const spans = days.flatMap((day) =>
    to > from
      ? [{ day, from, to }]
      : [
          { day, from, to: MINUTES },
          { day: (day % 7) + 1, from: 0, to },
        ],
  );
  return (
    <svg
      className={styles.week}
      viewBox="0 0 728 64"
      role="img"
      aria-label="The week of this window; the same stands below as text"
    >
      {DAYS.map((name, index) => (
        <g key={name} transform={`translate(${index * 104 + 2} 0)`}>
          <text x="0" y="12" className={styles.dayName}>
            {name}
          </text>
          <rect x="0" y="18" width="100" height="28" rx="4" className={styles.day} />
          {spans
            .filter(({ day }) => day === index + 1)
            .map((span) => (
              <rect
                key={span.from}
                x={(span.from / MINUTES) * 100}
                y="18"
                width={((span.to - span.from) / MINUTES) * 100}
                height="28"
                rx="3"
                className={styles.open}
              />
            ))}
          <text x="0" y="60" className={styles.hour}>
            0
          </text>
          <text x="50" y="60" textAnchor="middle" className={styles.hour}>
            12
          </text>
          <text x="100" y="60" textAnchor="end" className={styles.hour}>
            24
          </text>
        </g>
      ))}
    </svg>
  );
}

function inWords({ zone, days, start, end, holidays = [] }: Window) {
  const time = ({ hour, minute }: { hour: number; minute: number }) =>
    `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`;
  const names = days
    .toSorted()
    .map((day) => DAYS[day - 1])
    .join(', ');
  return (
    <>
      {names}, {time(start)} to {time(end)}, by the clocks of <Untrusted text={zone} />
      {holidays.length > 0 && (
        <>
          , but not on holidays of <Untrusted text={holidays.join(', ')} />
        </>
      )}
      .<Hidden> A time after midnight is on the next day.</Hidden>
    </>
  );
}
