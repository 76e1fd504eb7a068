import { z } from 'zod';

/** Why something came out as it did. `code` is stable; `detail` is for people. */
export const reasonSchema = z.strictObject({
  code: z.string().min(1).max(100).meta({ description: 'Stable, for programs.' }),
  detail: z.string().max(2000).meta({ description: 'For people.' }),
});
export type Reason = z.infer<typeof reasonSchema>;
