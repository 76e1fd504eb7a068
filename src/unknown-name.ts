import { closestMatch } from 'leven';
import { BrokerError } from './errors.ts';

/*
 * One mistake, one answer: what is said of a name that nothing has, wherever somebody writes one. Callers pass only names
 * that the reader may see: a suggestion tells that the name exists.
 */

/** A word may be short for a name from this length on. */
const SHORTEST_BEGINNING = 2;

/** The longest part of an unknown name that is repeated. */
const MAX_SHOWN = 200;

/**
 * The known name that was most likely meant: one that begins so, else the only principal whose last part it is, else the closest
 * one; undefined if none is close.
 */
export function nearestOf(name: string, known: readonly string[]): string | undefined {
  const longer = known.filter((each) => each.startsWith(name) && name.length >= SHORTEST_BEGINNING);
  const [begun] = longer.toSorted((one, other) => one.length - other.length || (one < other ? -1 : 1));
  if (begun !== undefined) return begun;
  const [ending, ...others] = known.filter((each) => each.endsWith(`:${name}`));
  if (ending !== undefined && others.length === 0) return ending;
  return closestMatch(name, known, { maxDistance: Math.max(2, Math.floor(name.length / 2)) });
}

/** The question after an unknown name; empty without anything near. */
export function didYouMean(nearest: string | undefined): string {
  return nearest === undefined ? '' : `did you mean ${nearest}?`;
}

/**
 * What is said of a word that is none of a fixed list, such as the members of a body.
 *
 * @param what such as `member`
 * @param isShown whether the word is repeated, because its place does not show it
 */
export function unknownWord(what: string, word: string, known: readonly string[], isShown = false): string {
  const hint = didYouMean(nearestOf(word, known)) || `known ${what}s are ${known.join(', ')}`;
  return `unknown ${what}${isShown ? ` ${shown(word)}` : ''}; ${hint}`;
}

/** Of what kind a name is that nothing has, and where it was written. */
export interface UnknownName {
  /** Such as `environment`. */
  what: string;
  name: string;
  /** Its place in the body or query: a JSON Pointer in URI fragment form. Absent if the path has it. */
  pointer?: string;
  nearest?: string | undefined;
  /** A further sentence. */
  more?: string;
}

/** The answer to a name that nothing has, or nothing that the caller may see. */
export function unknownName({ what, name, pointer, nearest, more }: UnknownName): BrokerError {
  const question = didYouMean(nearest);
  const sentences = [
    `There is no ${what} ${shown(name)} that you may see.`,
    question.replace(/^d/, 'D'),
    more ?? '',
  ].filter((sentence) => sentence !== '');
  const detail = question === '' ? `no ${what} has this name` : `no ${what} has this name; ${question}`;
  return new BrokerError('not_found', sentences.join(' '), {
    ...(pointer === undefined ? {} : { errors: [{ pointer, detail }] }),
    ...(nearest === undefined ? {} : { extra: { did_you_mean: nearest } }),
  });
}

function shown(name: string): string {
  return JSON.stringify(name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name);
}
