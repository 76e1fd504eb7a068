/** The classes of principals that can be revoked as a whole. */
export const CLASSES: readonly string[] = ['person', 'workload', 'agent', 'all'];
