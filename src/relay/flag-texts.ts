import { type BodyName, openBody } from '../snapshot/body.ts';

/** The flags of a body by key, each as a text that is equal for equal flags. */
export type FlagTexts = [key: string, text: string][];

/** Verifies a body, and takes it apart. @throws SnapshotFault */
export function flagTexts(bytes: Buffer, name: BodyName): FlagTexts {
  return openBody(bytes, name).flags.map((flag) => [flag.definition.key, JSON.stringify(flag)]);
}
