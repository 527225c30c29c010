import { atom } from 'jotai/vanilla';
import type { Cart } from './values.ts';

export const plainAtom = atom<Cart>({ items: [], total: 0 });
