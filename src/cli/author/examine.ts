import { unpackArchive } from '../../policy/archive.ts';
import type { Bundle } from '../../policy/bundle.ts';
import { mergeData } from '../../policy/bundle-data.ts';
import { BundleError } from '../../policy/bundle-error.ts';
import { type CasesOutcome, readCases, runCases } from '../../policy/cases.ts';
import { parseBrokerData } from '../../policy/data.ts';
import { dataAdvice } from '../../policy/data-advice.ts';
import { type DataFault, dataFaults } from '../../policy/data-faults.ts';
import { createEngine } from '../../policy/engine.ts';
import { inputVersions } from '../../policy/input-versions.ts';
import { probeBundle } from '../../policy/probe.ts';
import { requestKinds } from '../../requests/kinds/kinds.ts';
import { checkTrustRules } from '../../trust/policy-rules.ts';
import type { Project } from './project.ts';

/** All faults of a project's data at once, as the broker would refuse them one layer after the other. */
export function projectFaults({ data, cases }: Project): DataFault[] {
  try {
    const merged = mergeData(data);
    const faults = dataFaults(merged);
    readCases(new Map([...cases].map(([path, bytes]) => [`cases/${path}`, bytes])));
    return faults.length > 0 ? faults : trustFaults(parseBrokerData(merged));
  } catch (error) {
    if (error instanceof BundleError) return [{ pointer: '', detail: error.message }];
    throw error;
  }
}

/** What is allowed in the data, and seldom meant. */
export function projectAdvice({ data }: Project): DataFault[] {
  return dataAdvice(mergeData(data));
}

/** The faults of the trust rules. */
export function trustFaults(broker: Bundle['broker']): DataFault[] {
  const checked = checkTrustRules(broker);
  return 'faults' in checked
    ? checked.faults.map(({ rule, detail }) => ({ pointer: `/config/trust_rules/${rule}`, detail }))
    : [];
}

/**
 * Tries a bundle as the broker does when it is sent: instantiated in a thread of its own, and asked for every operation.
 *
 * @throws BundleError with what is wrong
 */
export function tryBundle(bundle: Bundle): Promise<void> {
  return probeBundle(bundle, inputVersions(requestKinds.all));
}

/** Runs the decision cases that a bundle brings, through its module. */
export async function runOwnCases(bundle: Bundle): Promise<CasesOutcome> {
  const { evaluate } = await createEngine(bundle);
  const read = {
    evaluate,
    inputs: inputVersions(requestKinds.all),
    version: bundle.broker.input_version,
  };
  return runCases(read, readCases(await unpackArchive(bundle.archive)));
}
