import type { ReactNode } from 'react';

/** The canvas of every dish, 240 by 152, with a stoneware plate. Decorative: the dish's name is beside it. */
export function Plated({ children }: { children: ReactNode }) {
  return (
    <svg viewBox="0 16 240 152" aria-hidden="true" focusable="false">
      <ellipse cx="120" cy="140" rx="106" ry="19" fill="var(--plate-shadow)" />
      <ellipse cx="120" cy="133" rx="106" ry="21" fill="var(--plate)" />
      <ellipse cx="120" cy="131" rx="93" ry="16" fill="var(--plate-well)" />
      {children}
    </svg>
  );
}
