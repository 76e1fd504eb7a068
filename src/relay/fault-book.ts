import type { Clock } from '../clock.ts';
import { type RelayFaultCode, type ShownFault, shownFault } from './fault.ts';

/** What a fault keeps from working. */
export type FaultPart = 'source' | 'stream' | 'snapshot' | 'readers' | 'disk' | 'readers_disk' | 'reports';

/** The faults of one environment. */
export interface FaultBook {
  note(part: FaultPart, error: unknown): void;
  /** The part works again. */
  clear(part: FaultPart): void;
  present(): (ShownFault & { part: FaultPart })[];
  /** The last one that there was. */
  last(): (ShownFault & { part: FaultPart }) | null;
}

/** Creates one. Each fault is counted, and logged when it begins and when it is over. */
export function createFaultBook({
  environment,
  clock,
  log,
  count,
}: {
  environment: string;
  clock: Clock;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  count: (code: RelayFaultCode) => void;
}): FaultBook {
  const faults = new Map<FaultPart, ShownFault>();
  let last: (ShownFault & { part: FaultPart }) | null = null;
  return {
    note: (part, error) => {
      const fault = shownFault(error, clock());
      const { code, detail } = fault;
      count(code);
      if (code === 'failed') log.error({ err: error, environment, part }, 'the relay failed, and goes on');
      else if (faults.get(part)?.code !== code) log.warn({ environment, part, code, detail }, 'relay fault');
      faults.set(part, fault);
      last = { part, ...fault };
    },
    clear: (part) => {
      const former = faults.get(part);
      if (!faults.delete(part)) return;
      log.info({ environment, part, code: former?.code }, 'relay fault over');
    },
    present: () => [...faults].map(([part, fault]) => ({ part, ...fault })),
    last: () => last,
  };
}
