import { type Atom, atom, type Getter, type Setter, type WritableAtom } from 'jotai';
import { atomWithReset } from 'jotai/utils';
import type { Kind } from './kinds.ts';
import type { AtomOf, Value } from './Program.ts';

export type AnyAtom = WritableAtom<unknown, unknown[], unknown>;

/** Writes to one of `atoms`, unless that can only be read. */
export type Write = (set: Setter, write: [number, Value], atoms: Atom<unknown>[]) => unknown;

export function isWritable(candidate: Atom<unknown>): candidate is AnyAtom {
  return 'write' in candidate;
}

/** The atom that a program describes. It knows only those before it, so that nothing goes round in circles. */
export function programAtom(of: AtomOf, atoms: Atom<unknown>[], kind: Kind, write: Write): Atom<unknown> {
  const before = [...atoms];
  const at = (index: number) => before[index % before.length] as Atom<unknown>;
  if (before.length === 0) return kind.primitive<unknown>(0);
  switch (of.type) {
    case 'primitive':
      return kind.primitive<unknown>(of.init);
    case 'reset':
      return kind.writable(atomWithReset<unknown>(of.init));
    case 'sum':
      return atom((get) => of.of.map((index) => Number(get(at(index)))).reduce((sum, term) => sum + term));
    case 'asyncSum':
      return atom(async (get) => {
        let sum = 0;
        for (const index of of.of) sum += Number(await get(at(index)));
        return sum;
      });
    case 'through': {
      const target = at(of.to);
      return kind.writable(
        atom(
          (get) => get(target),
          (_get, set, ...args: unknown[]) => (isWritable(target) ? set(target, ...args) : undefined),
        ),
      );
    }
    case 'action':
      return kind.writable(atom(null, action(of, before, write)));
  }
}

/** A write of two halves, with or without a pause between them. */
function action(
  { writes, pause, fails }: AtomOf & { type: 'action' },
  before: Atom<unknown>[],
  write: Write,
): (get: Getter, set: Setter) => unknown {
  const half = Math.ceil(writes.length / 2);
  const first = (set: Setter) => {
    for (const one of writes.slice(0, half)) write(set, one, before);
  };
  const second = (set: Setter) => {
    for (const one of writes.slice(half)) write(set, one, before);
    if (fails) throw new Error('action');
    return 'done';
  };
  switch (pause) {
    case 'no':
      return (_get, set) => {
        first(set);
        return second(set);
      };
    case 'await':
      return async (_get, set) => {
        first(set);
        await null;
        return second(set);
      };
    default:
      return (_get, set) => {
        first(set);
        const promise = Promise.resolve().then(() => second(set));
        if (pause === 'handled') promise.catch(() => {});
        return promise;
      };
  }
}
