import { z } from 'zod';

/** A path of a socket, or a host and a port. */
const ADDRESS = /^(?:unix:\/.+|(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]):\d{1,5})$/i;

/** What only programs on this machine reach. */
const LOCAL = /^(?:unix:\/|127(?:\.\d{1,3}){3}:|\[::1\]:|localhost:)/i;

/** One address at which the sync service of flagd is served. */
export const syncListenerSchema = z
  .strictObject({
    listen: z.string().regex(ADDRESS, 'must be unix:/path or host:port, such as 127.0.0.1:8015').meta({
      description:
        'the address: `unix:/path`, or `host:port`. Any other machine can reach it only with `tls`. On a socket, the group of its file may connect',
    }),
    tls: z
      .strictObject({
        cert_file: z.string().min(1).meta({ description: 'the certificate of the broker, in PEM' }),
        key_file: z.string().min(1).meta({ description: 'its private key' }),
        client_ca_file: z.string().min(1).meta({
          description: 'the authority that has signed the certificates of clients; others may not connect',
        }),
      })
      .optional(),
    without_token: z
      .strictObject({
        environment: z
          .string()
          .min(1)
          .meta({ description: 'the environment that clients read which send no token' }),
        namespaces: z.array(z.string().min(1)).min(1).meta({
          description:
            'its namespaces that they read; `*` for all. Whoever can connect reads the rules of these flags, and the organizations in them',
        }),
      })
      .optional(),
  })
  .refine(({ listen, tls }) => tls !== undefined || LOCAL.test(listen) || !ADDRESS.test(listen), {
    path: ['listen'],
    message: 'must be a socket or an address of this machine, such as 127.0.0.1:8015, unless `tls` is set',
  });

/** Where the sync service of flagd listens, and what clients without a token read there. */
export type SyncListenerConfig = z.infer<typeof syncListenerSchema>;
