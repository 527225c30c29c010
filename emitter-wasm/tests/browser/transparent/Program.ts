import fc from 'fast-check';

/** Numbers for atoms and promises are taken modulo how many there are: each program makes sense. */
export type Value =
  | { type: 'number' | 'add'; number: number }
  | { type: 'promise'; promise: number }
  | { type: 'object' | 'throw' | 'reset' };

export type AtomOf =
  | { type: 'primitive'; init: number }
  | { type: 'reset'; init: number }
  | { type: 'sum'; of: number[] }
  | { type: 'asyncSum'; of: number[] }
  | { type: 'through'; to: number }
  | { type: 'action'; writes: [number, Value][]; pause: 'no' | 'await' | 'then' | 'handled'; fails: boolean };

export type Step =
  | { type: 'set'; atom: number; value: Value; use: 'leave' | 'catch' | 'then' }
  | { type: 'get'; atom: number; use: 'leave' | 'catch' | 'then' }
  | { type: 'sub'; atom: number; writes: [number, Value] | undefined }
  | { type: 'unsub'; sub: number }
  | { type: 'settle'; promise: number; fails: boolean }
  | { type: 'handle'; promise: number }
  | { type: 'task' };

export interface Program {
  atoms: AtomOf[];
  steps: Step[];
}

const number = fc.nat(20);
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ type: fc.constantFrom('number', 'add'), number }),
  fc.record({ type: fc.constant('promise'), promise: number }),
  fc.record({ type: fc.constantFrom('object', 'throw', 'reset') }),
);
const several = fc.array(number, { minLength: 1, maxLength: 3 });
const write = fc.tuple(number, value);
const use = fc.constantFrom('leave', 'catch', 'then');

const atomOf: fc.Arbitrary<AtomOf> = fc.oneof(
  fc.record({ type: fc.constant('primitive'), init: number }),
  fc.record({ type: fc.constant('reset'), init: number }),
  fc.record({ type: fc.constant('sum'), of: several }),
  fc.record({ type: fc.constant('asyncSum'), of: several }),
  fc.record({ type: fc.constant('through'), to: number }),
  fc.record({
    type: fc.constant('action'),
    writes: fc.array(write, { maxLength: 4 }),
    pause: fc.constantFrom('no', 'await', 'then', 'handled'),
    fails: fc.boolean(),
  }),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('set'), atom: number, value, use }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('get'), atom: number, use }) },
  fc.record({
    type: fc.constant('sub'),
    atom: number,
    writes: fc.option(write, { nil: undefined }),
  }),
  fc.record({ type: fc.constant('unsub'), sub: number }),
  fc.record({ type: fc.constant('settle'), promise: number, fails: fc.boolean() }),
  fc.record({ type: fc.constant('handle'), promise: number }),
  fc.record({ type: fc.constant('task') }),
);

export const program: fc.Arbitrary<Program> = fc.record({
  atoms: fc.array(atomOf, { minLength: 1, maxLength: 8 }),
  steps: fc.array(step, { minLength: 1, maxLength: 24 }),
});
