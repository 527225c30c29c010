import { atomWithTracing } from 'atomwire/jotai';
import type { Cart } from '../cart/Cart';

/** Every change of the cart is one update and one trace. */
export const cartAtom = atomWithTracing<Cart>('cart', []);
