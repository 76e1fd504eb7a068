import { z } from 'zod';
import { CAPABILITIES } from '../operations.ts';
import { type Principal, principalSchema } from '../principal.ts';

/** The entry point that says who can do what. It is optional in custom bundles. */
export const ACCESS_ENTRYPOINT = 'countersign/access';

/** The input document of `countersign/access`. */
export const accessInputSchema = z.strictObject({ principals: z.array(principalSchema) });

/** The origin of a grant: a role binding's place under `data.config.role_bindings`. */
const bindingSchema = z.strictObject({
  by: z.enum(['group', 'claim', 'trust_rule', 'principal']),
  /** The issuer of the group or claim; null for trust rules and principals. */
  issuer: z.string().nullable(),
  /** The group, `claim=value`, the trust rule or the principal's id. */
  key: z.string(),
  /** Its index, from 0, in the list under that key. */
  index: z.int().min(0),
});

/** The place of a role binding in the policy's data. */
export type BindingName = z.infer<typeof bindingSchema>;

const capabilitySchema = z.enum(CAPABILITIES);

/** The document that `countersign/access` returns. */
export const accessAnswerSchema = z.strictObject({
  /** One for each principal, capability, environment, namespace and binding that grants it. */
  grants: z.array(
    z.strictObject({
      principal: z.string(),
      capability: capabilitySchema,
      environment: z.string(),
      /** One namespace, or `*` for all. */
      namespace: z.string(),
      binding: bindingSchema,
    }),
  ),
  /** Every binding of the data with what it grants; three empty lists if it grants nothing. */
  bindings: z.array(
    bindingSchema.extend({
      capabilities: z.array(capabilitySchema),
      environments: z.array(z.string()),
      namespaces: z.array(z.string()),
    }),
  ),
});

export type AccessAnswer = z.infer<typeof accessAnswerSchema>;

/** The number of binding look-ups per evaluation, far below the limit of the engine's memory. */
const LOOKUPS_AT_ONCE = 500;

/**
 * Evaluates who can do what, in batches of principals.
 *
 * @param ask answers one input of `countersign/access`, as JSON text; null if the bundle has no such entry point
 * @throws Error if the answer is malformed
 */
export function askAccess(
  principals: readonly Principal[],
  ask: (inputJson: string) => unknown,
): AccessAnswer | null {
  const whole: AccessAnswer = { grants: [], bindings: [] };
  for (const part of partsOf(principals)) {
    const answer = ask(JSON.stringify(accessInputSchema.parse({ principals: part })));
    if (answer === null) return null;
    const parsed = accessAnswerSchema.safeParse(answer);
    if (!parsed.success) {
      throw new Error(
        `the policy's answer at ${ACCESS_ENTRYPOINT} is invalid: ${z.prettifyError(parsed.error)}`,
      );
    }
    for (const grant of parsed.data.grants) whole.grants.push(grant);
    whole.bindings = parsed.data.bindings;
  }
  return whole;
}

/** Returns at least one batch, so that the bindings are listed even if there are no principals. */
function partsOf(principals: readonly Principal[]): Principal[][] {
  let part: Principal[] = [];
  const parts = [part];
  let lookups = 0;
  for (const principal of principals) {
    // One each for the trust rule and the id.
    const more = principal.groups.length + Object.keys(principal.claims).length + 2;
    if (part.length > 0 && lookups + more > LOOKUPS_AT_ONCE) {
      part = [];
      parts.push(part);
      lookups = 0;
    }
    part.push(principal);
    lookups += more;
  }
  return parts;
}
