import type { Cart } from './Cart';

export function countServings(cart: Cart): number {
  return cart.reduce((count, line) => count + line.quantity, 0);
}
