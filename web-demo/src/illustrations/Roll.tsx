import type { ReactNode } from 'react';

interface RollProps {
  x: number;
  y: number;
  /** Half the roll's width. */
  radius: number;
  height: number;
  side: string;
  rim: string;
  /** The filling, drawn around the middle of the cut face. */
  children: ReactNode;
}

/** One cut piece of a roll, standing; `x` and `y` are the middle of its cut face. */
export function Roll({ x, y, radius, height, side, rim, children }: RollProps) {
  const depth = radius * 0.62;
  return (
    <g transform={`translate(${x} ${y})`}>
      <ellipse cx="3" cy={height} rx={radius + 4} ry={depth} fill="var(--plate-shadow)" />
      <path d={`M${-radius} 0v${height}a${radius} ${depth} 0 0 0 ${2 * radius} 0V0Z`} fill={side} />
      <ellipse rx={radius} ry={depth} fill={rim} />
      {children}
    </g>
  );
}
