import { atom } from 'jotai';
import { countServings } from '../cart/countServings';
import { cartAtom } from './cart';

export const cartCountAtom = atom((get) => countServings(get(cartAtom)));
