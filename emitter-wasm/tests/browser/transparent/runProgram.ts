import { type Atom, createStore } from 'jotai';
import { RESET } from 'jotai/utils';
import type { Kind, Log } from './kinds.ts';
import type { Program, Step, Value } from './Program.ts';
import { isWritable, programAtom, type Write } from './programAtom.ts';

const PROMISES = 4;
/** Listeners that write may call each other for ever. */
const LISTENERS_WRITES = 20;

/** Runs `program` with atoms of one kind, and logs all that an app could see of it. */
export async function runProgram(program: Program, kind: Kind, log: Log): Promise<void> {
  const store = createStore();
  const promises = Array.from({ length: PROMISES }, () => Promise.withResolvers<unknown>());
  const names = new Map<unknown, string>(promises.map(({ promise }, index) => [promise, `promise ${index}`]));
  const atoms: Atom<unknown>[] = [];
  const subs: (() => void)[] = [];
  let listenersWrites = LISTENERS_WRITES;

  const atomAt = (index: number) => atoms[index % atoms.length] as Atom<unknown>;
  const promiseAt = (index: number) => promises[index % PROMISES] as PromiseWithResolvers<unknown>;

  /** Promises that a write makes are named in the order in which they are seen. */
  function describe(value: unknown): unknown {
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    if (!isThenable(value)) return value;
    if (!names.has(value)) names.set(value, `promise ${names.size}`);
    return names.get(value);
  }

  function attempt(what: string, run: () => unknown, use: (Step & { type: 'get' })['use'] = 'leave'): void {
    let result: unknown;
    try {
      result = run();
    } catch (error) {
      log(what, 'threw', describe(error));
      return;
    }
    log(what, describe(result));
    if (!isThenable(result) || use === 'leave') return;
    const settled = result.then((value) => log(what, 'became', describe(value)));
    if (use === 'catch') settled.catch((error) => log(what, 'failed', describe(error)));
  }

  function written(value: Value): unknown {
    switch (value.type) {
      case 'number':
        return value.number;
      case 'add':
        return (before: unknown) => Number(before) + value.number;
      case 'promise':
        return promiseAt(value.promise).promise;
      case 'object':
        return { nested: { number: 1 } };
      case 'reset':
        return RESET;
      case 'throw':
        return () => {
          throw new Error('updater');
        };
    }
  }

  const write: Write = (set, [index, value], among) => {
    const target = among[index % among.length];
    return target !== undefined && isWritable(target) ? set(target, written(value)) : undefined;
  };

  function take(step: Step): void {
    switch (step.type) {
      case 'set':
        attempt('set', () => write(store.set, [step.atom, step.value], atoms), step.use);
        break;
      case 'get':
        attempt('get', () => store.get(atomAt(step.atom)), step.use);
        break;
      case 'sub':
        attempt('sub', () => void subs.push(store.sub(atomAt(step.atom), () => hear(step))));
        break;
      case 'unsub':
        attempt('unsub', () => subs[step.sub % subs.length]?.());
        break;
      case 'settle':
        if (step.fails) promiseAt(step.promise).reject(new Error(`rejected ${step.promise}`));
        else promiseAt(step.promise).resolve(step.promise);
        break;
      case 'handle':
        promiseAt(step.promise).promise.catch(() => {});
    }
  }

  function hear({ atom, writes }: Step & { type: 'sub' }): void {
    attempt(`heard ${atom}`, () => store.get(atomAt(atom)));
    if (writes === undefined || listenersWrites === 0) return;
    listenersWrites -= 1;
    attempt('heard, and set', () => write(store.set, writes, atoms));
  }

  for (const of of program.atoms) atoms.push(programAtom(of, atoms, kind, write));
  for (const step of program.steps) {
    take(step);
    if (step.type === 'task') await new Promise((resolve) => setTimeout(resolve));
  }
  for (const unsub of subs) unsub();
}

/** As Jotai decides it: where zone.js is, `async` functions do not return its `Promise`. */
function isThenable(value: unknown): value is Promise<unknown> {
  return typeof (value as Partial<Promise<unknown>> | null | undefined)?.then === 'function';
}
