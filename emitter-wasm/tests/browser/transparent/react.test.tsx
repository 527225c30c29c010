import { atom, createStore, Provider, useAtom, useAtomValue, useSetAtom } from 'jotai';
import {
  act,
  Component,
  type ReactNode,
  StrictMode,
  Suspense,
  startTransition,
  useEffect,
  useTransition,
} from 'react';
import { createRoot } from 'react-dom/client';
import { beforeEach, describe, test } from 'vitest';
import { startWithPeer } from '../../peer/startWithPeer.ts';
import { expectSame, type Log } from './kinds.ts';

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

/** Renders into a page of its own, and logs what it looks like whenever it is asked. */
async function render(node: ReactNode, log: Log, run: (look: () => void) => Promise<void>): Promise<void> {
  const host = document.createElement('div');
  const root = createRoot(host, { onCaughtError: (error) => log('caught', error) });
  await act(() => root.render(node));
  await run(() => log('html', host.innerHTML));
  await act(() => root.unmount());
}

class Boundary extends Component<{ children: ReactNode }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    return this.state.error ? `failed: ${this.state.error.message}` : this.props.children;
  }
}

beforeEach(async () => {
  await startWithPeer();
});

describe.each([
  ['as it is', ({ children }: { children: ReactNode }) => children],
  ['in StrictMode', ({ children }: { children: ReactNode }) => <StrictMode>{children}</StrictMode>],
])('React, %s', (_mode, Mode) => {
  test('renders, effects and mounts', () =>
    expectSame(async (kind, log) => {
      const countAtom = kind.primitive(0);
      countAtom.onMount = (set) => {
        log('mount');
        set((count) => count + 1);
        return () => log('unmount');
      };
      const doubleAtom = kind.writable(
        atom(
          (get) => 2 * get(countAtom),
          (_get, set, count: number) => set(countAtom, count),
        ),
      );
      let setDouble: (count: number) => void = () => {};
      function Count() {
        const [count, setCount] = useAtom(countAtom);
        log('count', count);
        useEffect(() => {
          log('effect', count);
          if (count === 5) setCount(6);
        }, [count, setCount]);
        return <b>{count}</b>;
      }
      function Double() {
        const double = useAtomValue(doubleAtom);
        setDouble = useSetAtom(doubleAtom);
        log('double', double);
        return <i>{double}</i>;
      }
      const page = (
        <Mode>
          <Provider>
            <Count />
            <Double />
          </Provider>
        </Mode>
      );
      await render(page, log, async (look) => {
        look();
        await act(() => setDouble(5));
        look();
        await act(() => setDouble(6));
        look();
      });
    }));

  test('Suspense, on a value, on a derived one, and on a rejection', () =>
    expectSame(async (kind, log) => {
      const store = createStore();
      const dishAtom = kind.primitive<Promise<string> | string>('none');
      const loudAtom = atom(async (get) => (await get(dishAtom)).toUpperCase());
      function Dish() {
        const dish = useAtomValue(dishAtom);
        log('dish', dish);
        return <b>{dish}</b>;
      }
      function Loud() {
        const dish = useAtomValue(loudAtom);
        log('loud', dish);
        return <i>{dish}</i>;
      }
      const page = (
        <Mode>
          <Provider store={store}>
            <Boundary>
              <Suspense fallback="waiting">
                <Dish />
                <Loud />
              </Suspense>
            </Boundary>
          </Provider>
        </Mode>
      );
      await render(page, log, async (look) => {
        look();
        for (const end of ['roll', 'soup', new Error('sold out')]) {
          const { promise, resolve, reject } = Promise.withResolvers<string>();
          await act(() => store.set(dishAtom, promise));
          look();
          log('same', store.get(dishAtom) === promise);
          await act(() => (typeof end === 'string' ? resolve(end) : reject(end)));
          look();
        }
      });
    }));

  test('transitions', () =>
    expectSame(async (kind, log) => {
      const store = createStore();
      const dishAtom = kind.primitive<Promise<string>>(Promise.resolve('roll'));
      const orderAtom = kind.writable(
        atom(null, async (_get, set, dish: Promise<string>) => {
          set(dishAtom, dish);
          return await dish;
        }),
      );
      let order: (dish: Promise<string>) => void = () => {};
      function Dish() {
        const [isPending, start] = useTransition();
        const dish = useAtomValue(dishAtom);
        const setOrder = useSetAtom(orderAtom);
        order = (dish) =>
          start(async () => {
            log('ordered', await setOrder(dish));
          });
        log('dish', dish, isPending);
        return <b>{`${dish} ${isPending}`}</b>;
      }
      const page = (
        <Mode>
          <Provider store={store}>
            <Suspense fallback="waiting">
              <Dish />
            </Suspense>
          </Provider>
        </Mode>
      );
      await render(page, log, async (look) => {
        look();
        const { promise, resolve } = Promise.withResolvers<string>();
        await act(() => order(promise));
        look();
        await act(() => resolve('soup'));
        look();
        await act(() => startTransition(() => store.set(dishAtom, Promise.resolve('tea'))));
        look();
      });
    }));
});
