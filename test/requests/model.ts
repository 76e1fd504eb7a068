/*
 * What the workflow should do, in as few words as possible: two operational flags in production, whose switching on
 * takes one approval and whose switching off takes none. The real workflow is compared with this after each command.
 */

export type Switch = 'enable' | 'disable';
export type State = 'pending' | 'ready' | 'applied' | 'rejected' | 'withdrawn' | 'conflicted';

export interface ModelRequest {
  id: string;
  flag: string;
  action: Switch;
  manual: boolean;
  /** The version that it was planned on. */
  base: number;
  approved: boolean;
  state: State;
}

export interface Model {
  flags: Map<string, { enabled: boolean; version: number }>;
  requests: ModelRequest[];
  /** Freeze id to the flag that it covers. */
  freezes: Map<string, string>;
  sessions: { opened_ms: number; expires_ms: number }[];
}

/** Two flags as they are after their creation. */
export function createModel(flags: readonly string[]): Model {
  return {
    flags: new Map(flags.map((flag) => [flag, { enabled: false, version: 1 }])),
    requests: [],
    freezes: new Map(),
    sessions: [],
  };
}

export function isOpen({ state }: ModelRequest): boolean {
  return state === 'pending' || state === 'ready';
}

export function flagOf(model: Model, key: string): { enabled: boolean; version: number } {
  const flag = model.flags.get(key);
  if (flag === undefined) throw new Error(`${key} is not in the model`);
  return flag;
}

/** A freeze stops switching on; switching off passes. */
export function isStopped(model: Model, { flag, action }: { flag: string; action: Switch }): boolean {
  return action === 'enable' && [...model.freezes.values()].includes(flag);
}

export function hasEffect(model: Model, { flag, action }: { flag: string; action: Switch }): boolean {
  return flagOf(model, flag).enabled !== (action === 'enable');
}

export function switchFlag(model: Model, { flag, action }: { flag: string; action: Switch }): void {
  const present = flagOf(model, flag);
  model.flags.set(flag, { enabled: action === 'enable', version: present.version + 1 });
}

/** What becomes of an open request when it is asked whether it may be applied. */
export function settleModel(model: Model, request: ModelRequest, explicit: boolean): void {
  if (isStopped(model, request)) return;
  if (request.action === 'enable' && !request.approved) {
    request.state = 'pending';
    return;
  }
  if (request.manual && !explicit) {
    request.state = 'ready';
    return;
  }
  if (request.base !== flagOf(model, request.flag).version) {
    request.state = 'conflicted';
    return;
  }
  request.state = 'applied';
  switchFlag(model, request);
}
