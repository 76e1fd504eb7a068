/** The parts of an inbox: `approve`: what the caller could approve; `own`: what the caller proposed and is still open. */
export const INBOX_PARTS = ['approve', 'own'] as const;
export type InboxPart = (typeof INBOX_PARTS)[number];
