/** A page that navigation and palette lead to. */
export interface Place {
  to: '/' | '/requests' | '/propose' | '/flags';
  label: string;
  /** What it is for, in the palette. */
  about: string;
  /** The second key after `g`. */
  key: string;
}

/** The pages, in the order of the navigation. */
export const PLACES: readonly Place[] = [
  { to: '/', label: 'Inbox', about: 'what waits on you', key: 'i' },
  { to: '/requests', label: 'Requests', about: 'all change requests', key: 'r' },
  { to: '/flags', label: 'Flags', about: 'every flag, and its state in each environment', key: 'f' },
  { to: '/propose', label: 'Propose', about: 'a change of one flag or of many', key: 'p' },
];
