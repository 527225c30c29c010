/** What an app writes: a new object each time, or a number. */
export type Value = Cart | number;

interface Cart {
  items: { id: string; quantity: number; price: number }[];
  total: number;
}

/** Items of a cart, by what its JSON text takes; a counter has none. */
const ITEMS = { counter: 0, '110 B': 2, '2 KB': 47, '20 KB': 470 } as const;

export type Size = keyof typeof ITEMS;

export function value(size: Size, number: number): Value {
  if (size === 'counter') return number;
  const items = Array.from({ length: ITEMS[size] }, (_, at) => ({
    id: `salmon-${at % 10}`,
    quantity: 1 + ((number + at) % 9),
    price: 420,
  }));
  return { items, total: 10_000 + number };
}
