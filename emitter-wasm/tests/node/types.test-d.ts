import { type Emitter, type EmitterStats, startEmitter } from 'atomwire';
import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, type PrimitiveAtom, useAtom, type WritableAtom } from 'jotai';
import { atomWithReset } from 'jotai/utils';
import { atomFamily } from 'jotai-family';
import { expectTypeOf, test } from 'vitest';

test('atomWithTracing has the type of atom(initialValue)', () => {
  const plainAtom = atom(0);
  const tracedAtom = atomWithTracing('count', 0);
  expectTypeOf(tracedAtom).toEqualTypeOf(plainAtom);
  expectTypeOf(tracedAtom).toExtend<PrimitiveAtom<number>>();
  expectTypeOf(tracedAtom.init).toEqualTypeOf<number>();
  expectTypeOf(atomWithTracing<string[]>('names', [])).toEqualTypeOf(atom<string[]>([]));
  expectTypeOf(atomWithTracing<Promise<string> | null>('name', null)).toEqualTypeOf(
    atom<Promise<string> | null>(null),
  );
  expectTypeOf(() => useAtom(tracedAtom)).toEqualTypeOf(() => useAtom(plainAtom));
  expectTypeOf(atomFamily((id: string) => atomWithTracing(id, 0))('a')).toEqualTypeOf(plainAtom);
  expectTypeOf(atomWithTracing<number>('count')).toEqualTypeOf(atom<number>());
  expectTypeOf(atomWithTracing('count').init).toEqualTypeOf<unknown>();
  // @ts-expect-error a key is a string
  atomWithTracing(1, 0);
});

test('traced keeps value, arguments and result', () => {
  const plainAtom = atom(
    (get) => get(atom('x')),
    async (_get, _set, _dish: string, _count: number) => true,
  );
  expectTypeOf(traced(plainAtom, 'order')).toEqualTypeOf<
    WritableAtom<string, [_dish: string, _count: number], Promise<boolean>>
  >();
  const countAtom = atom(0);
  expectTypeOf(traced(countAtom, 'count')).toEqualTypeOf(countAtom);
  expectTypeOf(traced(countAtom, 'count').init).toEqualTypeOf<number>();
  const nameAtom = atomWithReset('a');
  expectTypeOf(traced(nameAtom, 'name')).toEqualTypeOf(nameAtom);
  const readOnlyAtom = atom((get) => get(plainAtom));
  // @ts-expect-error a read-only atom has no writes
  traced(readOnlyAtom, 'no');
});

test('the emitter', () => {
  expectTypeOf(startEmitter).returns.toEqualTypeOf<Emitter>();
  expectTypeOf<EmitterStats['state']>().toEqualTypeOf<
    'loading' | 'connecting' | 'connected' | 'waiting' | 'stopped' | 'failed'
  >();
  expectTypeOf<EmitterStats['lastTraceId']>().toEqualTypeOf<string | undefined>();
  // @ts-expect-error a service has a name
  startEmitter({ url: 'ws://localhost/v1/stream', service: {} });
});
