import type { Cart } from './Cart';

/** The cart with `by` more (or fewer) of a dish; a line that reaches zero is gone. */
export function changeQuantity(cart: Cart, dish: string, by: number): Cart {
  const lines = cart.some((line) => line.dish === dish) ? cart : [...cart, { dish, quantity: 0 }];
  return lines
    .map((line) => (line.dish === dish ? { dish, quantity: line.quantity + by } : line))
    .filter((line) => line.quantity > 0);
}
