/** A page that navigation and palette lead to. */
export interface Place {
  to:
    | '/'
    | '/requests'
    | '/propose'
    | '/flags'
    | '/incident'
    | '/organizations'
    | '/policy'
    | '/audit'
    | '/access'
    | '/api';
  label: string;
  /** What it is for, in the palette. */
  about: string;
  /** The second key after `g`. */
  key: string;
}

/** The pages, in the order of the navigation. */
export const PLACES: readonly Place[] = [
  { to: '/', label: 'Inbox', about: 'what waits for you', key: 'i' },
  { to: '/requests', label: 'Requests', about: 'all change requests', key: 'r' },
  { to: '/flags', label: 'Flags', about: 'every flag, and its state in each environment', key: 'f' },
  { to: '/propose', label: 'Propose', about: 'a change of one flag or of many', key: 'p' },
  { to: '/incident', label: 'Incident', about: 'freeze, break-glass, switch off, revoke', key: 'e' },
  {
    to: '/organizations',
    label: 'Organizations',
    about: 'what one customer sees, and why',
    key: 'o',
  },
  { to: '/policy', label: 'Policy', about: 'the rules that decide, their history, and what if', key: 'y' },
  { to: '/audit', label: 'Audit', about: 'every decision, and the health of the log', key: 'a' },
  { to: '/access', label: 'Access', about: 'who can do what, and your sessions', key: 's' },
  { to: '/api', label: 'API', about: 'every call, with an example', key: 'c' },
];
