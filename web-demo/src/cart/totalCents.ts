import { dishById } from '../menu';
import type { Cart } from './Cart';

export function totalCents(cart: Cart): number {
  return cart.reduce((cents, line) => cents + line.quantity * dishById(line.dish).priceCents, 0);
}
