import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Summary } from '../../../audit/summary.ts';
import { api } from '../../api/api.ts';
import { Button } from '../../parts/button.tsx';
import { ColumnHeads } from '../../parts/column-heads.tsx';
import { FaultView } from '../../parts/fault.tsx';
import { Skeleton } from '../../parts/skeleton.tsx';
import styles from './charts.module.css';

type Day = Summary['days'][number];

interface Series {
  name: string;
  of: (day: Day) => number | null;
  /** The value in words. */
  say: (value: number) => string;
}

const DAY_MS = 86_400_000;
const count = new Intl.NumberFormat('en-GB');
const date = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
const dateInFull = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  timeZone: 'UTC',
});

const SERIES: readonly Series[] = [
  { name: 'Applied', of: ({ applied }) => applied, say: count.format },
  { name: 'Held', of: ({ held }) => held, say: count.format },
  { name: 'Denied', of: ({ denied }) => denied, say: count.format },
  { name: 'Median time to approve and apply', of: ({ median_wait_ms }) => median_wait_ms, say: waitInWords },
];

/** What happened by day, as bars, or as the table that they are drawn from. */
export function Charts({ days }: { days: number }) {
  const [isTable, setTable] = useState(false);
  const { data, error, isPending } = useQuery({
    queryKey: ['summary', days],
    queryFn: () => {
      const from = Math.floor(performance.timeOrigin + performance.now()) - Math.min(days, 365) * DAY_MS;
      return api('getSummary', { query: { from } });
    },
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    retry: false,
  });
  if (isPending) return <Skeleton />;
  if (data === undefined) return <FaultView fault={error} />;
  return (
    <>
      {isTable ? <DayTable days={data.days} /> : <Bars days={data.days} />}
      <div>
        <Button onPress={() => setTable(!isTable)}>{isTable ? 'Show as charts' : 'Show as table'}</Button>
      </div>
      <p className={styles.note}>Days are those of UTC.</p>
    </>
  );
}

function Bars({ days }: { days: readonly Day[] }) {
  return (
    <div className={styles.charts}>
      {SERIES.map((series) => (
        <Chart key={series.name} series={series} days={days} />
      ))}
    </div>
  );
}

const HEIGHT = 72;
const STEP = 10;

function Chart({ series: { name, of, say }, days }: { series: Series; days: readonly Day[] }) {
  const values = days.map((day) => of(day) ?? 0);
  const most = Math.max(...values, 0);
  const at = days[values.indexOf(most)];
  const first = days[0];
  const last = days.at(-1);
  const peak =
    most === 0 || at === undefined ? 'nothing' : `at most ${say(most)}, on ${date.format(at.from_ms)}`;
  return (
    <figure className={styles.chart}>
      <figcaption>
        <strong>{name}</strong> <span className={styles.note}>{peak}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${Math.max(days.length, 1) * STEP} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name} by day: ${peak}`}
      >
        {days.map((day, index) => {
          const value = values[index] ?? 0;
          const height = most === 0 ? 0 : Math.max((value / most) * HEIGHT, value === 0 ? 0 : 2);
          return (
            <rect key={day.from_ms} x={index * STEP + 1} y={HEIGHT - height} width={STEP - 2} height={height}>
              <title>{`${dateInFull.format(day.from_ms)}: ${say(value)}`}</title>
            </rect>
          );
        })}
      </svg>
      {first !== undefined && last !== undefined && (
        <p className={styles.axis} aria-hidden="true">
          <span>{date.format(first.from_ms)}</span>
          <span>{date.format(last.from_ms)}</span>
        </p>
      )}
    </figure>
  );
}

function DayTable({ days }: { days: readonly Day[] }) {
  return (
    <div className={styles.table}>
      <table>
        <ColumnHeads names={['Day', 'Applied', 'Held', 'Denied', 'Median time to apply', 'Longest']} />
        <tbody>
          {days.toReversed().map(({ from_ms, applied, held, denied, median_wait_ms, longest_wait_ms }) => (
            <tr key={from_ms}>
              <th scope="row">{dateInFull.format(from_ms)}</th>
              <td>{count.format(applied)}</td>
              <td>{count.format(held)}</td>
              <td>{count.format(denied)}</td>
              <td>{median_wait_ms === null ? 'none waited' : waitInWords(median_wait_ms)}</td>
              <td>{longest_wait_ms === null ? '' : waitInWords(longest_wait_ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A time to wait, in the unit that people would use. */
function waitInWords(ms: number): string {
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 2 * DAY_MS) return `${Math.round(ms / 360_000) / 10} h`;
  return `${Math.round((ms / DAY_MS) * 10) / 10} days`;
}
