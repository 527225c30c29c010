import type { ReactNode } from 'react';

/** Two of the same piece, one behind the other; a piece is drawn within 140 by 80. */
export function Pair({ children }: { children: ReactNode }) {
  return (
    <>
      <g transform="translate(88 44) scale(0.92)">{children}</g>
      <ellipse cx="90" cy="136" rx="58" ry="8" fill="var(--plate-shadow)" />
      <g transform="translate(18 64)">{children}</g>
    </>
  );
}
