import { queryOptions } from '@tanstack/react-query';
import { api } from '../../api/api.ts';

/** The stored bundles, the newest first. */
export const storedBundles = queryOptions({
  queryKey: ['policy', 'bundles'],
  queryFn: ({ signal }) => api('listBundles', { query: { limit: 50 }, signal }),
  retry: false,
});

/** Which policies were active, the newest first. */
export const activationList = queryOptions({
  queryKey: ['policy', 'activations'],
  queryFn: ({ signal }) => api('listActivations', { query: { limit: 100 }, signal }),
  retry: false,
});
