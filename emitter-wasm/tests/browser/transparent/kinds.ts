import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, type PrimitiveAtom, type WritableAtom } from 'jotai/vanilla';
import { expect } from 'vitest';

/** How the atoms of a case are made. A case does not know which kind it has. */
export interface Kind {
  name: string;
  primitive: <Value>(value: Value) => PrimitiveAtom<Value> & { init: Value };
  // biome-ignore lint/suspicious/noExplicitAny: nothing else takes every writable atom.
  writable: <A extends WritableAtom<any, any, any>>(atom: A) => A;
}

export const plain: Kind = {
  name: 'plain',
  primitive: <Value>(value: Value) => Object.assign(atom<Value>(value), { init: value }),
  writable: (writable) => writable,
};

export const withTracing: Kind = {
  name: 'traced',
  primitive: (value) => atomWithTracing('primitive', value),
  writable: (writable) => traced(writable, 'writable'),
};

/** What a case observes, in the order in which it does. */
export type Log = (...observed: unknown[]) => void;

export async function observe(kind: Kind, run: (kind: Kind, log: Log) => unknown): Promise<unknown[][]> {
  const log: unknown[][] = [];
  await run(kind, (...observed) => log.push(observed));
  return log;
}

/** Expects of traced atoms whatever plain ones do. */
export async function expectSame(run: (kind: Kind, log: Log) => unknown): Promise<void> {
  const expected = await observe(plain, run);
  expect(await observe(withTracing, run)).toEqual(expected);
}
