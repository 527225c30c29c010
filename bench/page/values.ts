/** What an app writes: a new object each time. */
export interface Cart {
  items: { id: string; quantity: number; price: number }[];
  total: number;
}

/** Items of a value, by what its JSON text takes. */
const ITEMS = { '110 B': 2, '2 KB': 47 } as const;

export type Size = keyof typeof ITEMS;

export function cart(size: Size, number: number): Cart {
  const items = Array.from({ length: ITEMS[size] }, (_, at) => ({
    id: `salmon-${at % 10}`,
    quantity: 1 + ((number + at) % 9),
    price: 420,
  }));
  return { items, total: 10_000 + number };
}
