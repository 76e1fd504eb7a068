import { canonicalJson } from '../json.ts';
import { toEpochMs } from '../moment.ts';
import type { ChangeOf, DefinitionUpdate, NewDefinition } from './changes.ts';
import { variantsInUse } from './check-state.ts';
import { refuseChange } from './fault.ts';
import type { FlagDefinition, FlagState } from './model.ts';
import { hasVariant, type Variants, variantType } from './variants.ts';

/** Definitions are shown to approvers and copied into every record; the limit keeps both readable. */
const MAX_DEFINITION_BYTES = 32 * 1024;

/** The other of two variants; null if there are more, or none. */
export function onlyOtherVariant(variants: Variants, name: string): string | null {
  const others = Object.keys(variants).filter((other) => other !== name);
  return others.length === 1 ? (others[0] ?? null) : null;
}

/** The default safe variant: of two variants, the one that is false or named `off`. */
function evidentSafeVariant(variants: Variants): string | null {
  const names = Object.keys(variants);
  if (names.length !== 2) return null;
  return names.find((name) => variants[name] === false) ?? names.find((name) => name === 'off') ?? null;
}

function expiresOf(
  given: { expires_ms?: number | null | undefined; expires?: string | null | undefined },
  at: string,
) {
  if (given.expires_ms !== undefined && given.expires !== undefined) {
    refuseChange(`${at}/expires`, 'Set expires_ms or expires, not both.');
  }
  if (given.expires_ms !== undefined) return given.expires_ms;
  if (given.expires === undefined) return undefined;
  return given.expires === null ? null : toEpochMs(given.expires);
}

function checkExpiry(expiresMs: number | null, nowMs: number, at: string): void {
  if (expiresMs === null || expiresMs > nowMs) return;
  refuseChange(`${at}/expires`, 'The expiry is in the past; set a time in the future.');
}

function checkDefinition(definition: FlagDefinition, at: string): void {
  if (!hasVariant(definition.variants, definition.safe_variant)) {
    refuseChange(
      `${at}/safe_variant`,
      `The flag has no variant ${definition.safe_variant}; use an existing one.`,
    );
  }
  if (definition.kind === 'entitlement' && definition.contract === null) {
    refuseChange(`${at}/contract`, 'An entitlement requires a contract.');
  }
  if (Buffer.byteLength(canonicalJson(definition)) > MAX_DEFINITION_BYTES) {
    refuseChange(
      at,
      `The definition is larger than ${MAX_DEFINITION_BYTES / 1024} KiB; shorten its texts or values.`,
    );
  }
}

function chooseSafeVariant(asked: NewDefinition): string {
  const chosen = asked.safe_variant ?? evidentSafeVariant(asked.variants);
  return (
    chosen ??
    refuseChange('#/definition/safe_variant', 'Set safe_variant: the variant that is safe to serve.')
  );
}

function chooseDefaultVariant(asked: NewDefinition, safeVariant: string): string {
  const chosen = asked.default_variant ?? onlyOtherVariant(asked.variants, safeVariant);
  if (chosen === null) {
    return refuseChange(
      '#/definition/default_variant',
      'Set the variant that is served once the flag is enabled.',
    );
  }
  if (hasVariant(asked.variants, chosen)) return chosen;
  return refuseChange(
    '#/definition/default_variant',
    `The flag has no variant ${chosen}; use an existing one.`,
  );
}

/**
 * The definition of a new flag, and the variant that it serves once it is enabled.
 *
 * @throws BrokerError `invalid_change`
 */
export function plannedDefinition(
  change: ChangeOf<'create'>,
  nowMs: number,
): { definition: FlagDefinition; defaultVariant: string } {
  const asked = change.definition;
  const safeVariant = chooseSafeVariant(asked);
  const definition: FlagDefinition = {
    key: change.flag,
    namespace: asked.namespace,
    kind: asked.kind,
    tier: asked.tier,
    owner: asked.owner,
    purpose: asked.purpose,
    variants: asked.variants,
    safe_variant: safeVariant,
    created_ms: nowMs,
    expires_ms: expiresOf(asked, '#/definition') ?? null,
    retirement: asked.retirement,
    review_every_days: asked.review_every_days ?? null,
    contract: asked.contract ?? null,
    retired: false,
  };
  checkExpiry(definition.expires_ms, nowMs, '#/definition');
  checkDefinition(definition, '#/definition');
  return { definition, defaultVariant: chooseDefaultVariant(asked, safeVariant) };
}

function checkVariantsKept(
  before: FlagDefinition,
  after: FlagDefinition,
  states: readonly FlagState[],
): void {
  if (variantType(before.variants) !== variantType(after.variants)) {
    refuseChange(
      '#/set/variants',
      'The type of the variants cannot change, because applications depend on it; create another flag.',
    );
  }
  for (const state of states) {
    for (const variant of variantsInUse(state)) {
      if (hasVariant(after.variants, variant)) continue;
      refuseChange('#/set/variants', `Variant ${variant} is in use; remove it from every state first.`);
    }
  }
}

function withUpdate(definition: FlagDefinition, set: DefinitionUpdate): FlagDefinition {
  const { expires: _expires, expires_ms: _expiresMs, ...rest } = set;
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const expiresMs = expiresOf(set, '#/set');
  return {
    ...definition,
    ...Object.fromEntries(given),
    ...(expiresMs === undefined ? {} : { expires_ms: expiresMs }),
  };
}

/**
 * The definition after an update. `states` are all states in which a variant may be in use.
 *
 * @throws BrokerError `invalid_change`
 */
export function updatedDefinition(
  change: ChangeOf<'update'>,
  definition: FlagDefinition,
  states: readonly FlagState[],
  nowMs: number,
): FlagDefinition {
  const updated = withUpdate(definition, change.set);
  if (updated.expires_ms !== definition.expires_ms) checkExpiry(updated.expires_ms, nowMs, '#/set');
  checkDefinition(updated, '#/set');
  checkVariantsKept(definition, updated, states);
  return updated;
}
