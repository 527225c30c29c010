import { Plated } from './Plated';
import { Roll } from './Roll';

const pieces = [
  { x: 142, y: 66 },
  { x: 78, y: 84 },
  { x: 152, y: 100 },
];

export function CaliforniaRoll() {
  return (
    <Plated>
      {pieces.map(({ x, y }) => (
        <Roll key={`${x} ${y}`} x={x} y={y} radius={34} height={30} side="#f3ead9" rim="#fcf8ef">
          <path
            d="M-28 20l3 2M-19 32l3-1M-9 27l2 3M2 38l4 0M9 26l3 2M18 33l3-1M27 20l2 3M-26 34l2 2M24 40l3-2"
            stroke="#c58f3c"
            strokeWidth="3"
            strokeLinecap="round"
          />
          <path
            d="M-29 -2l2 3M-20 -13l3 1M0 -18l3 1M20 -13l3 2M29 0l-1 3M-16 15l3 1M14 16l3-1"
            stroke="#d8a85a"
            strokeWidth="2.6"
            strokeLinecap="round"
          />
          <ellipse rx="20" ry="12" fill="#26332d" />
          <ellipse rx="17.5" ry="10" fill="#fcf8ef" />
          <path d="M-14 -1c1-6 8-9 14-8l-1 8Z" fill="#9dbb62" />
          <path d="M1 -9c7 0 13 3 14 8l-13 1Z" fill="#e9704a" />
          <path d="M-13 2l26 0c-3 5-8 7-13 7s-11-3-13-7Z" fill="#cfe0a0" />
          <path d="M-13 2l26 0" stroke="#5f8b46" strokeWidth="2" strokeLinecap="round" />
        </Roll>
      ))}
    </Plated>
  );
}
